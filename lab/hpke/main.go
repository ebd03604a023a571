// Command hpke seals and opens values as secretset-operator does, written a second time with nothing but Go's
// standard library: what one of the two seals the other has to open.
//
// It reads requests from its standard input, one JSON object on a line, and answers each with a line.
package main

import (
	"bufio"
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

const (
	prefix   = "hpke1."
	domain   = "secretset.dev/hpke1"
	step     = 256
	longest  = 16384
	longLine = 1 << 20
)

var (
	kem      = hpke.MLKEM768X25519()
	kdf      = hpke.HKDFSHA256()
	aead     = hpke.AES256GCM()
	encoding = base64.RawURLEncoding.Strict()
)

// request is what is asked for: the public key of a seed, a value sealed, a text opened.
type request struct {
	Do    string   `json:"do"`    // public, seal, open
	Key   []byte   `json:"key"`   // the public key to seal with, else the seed
	Place []string `json:"place"` // installation, kind, namespace, name, key
	Value []byte   `json:"value"`
	Text  string   `json:"text"`
}

// answer has what was asked for, or Error and nothing else.
type answer struct {
	Value []byte `json:"value,omitempty"`
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
}

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "hpke:", err)
		os.Exit(1)
	}
}

func serve() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longLine)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		told, err := do(asked)
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := out.Encode(told); err != nil {
			return err
		}
	}
	return lines.Err()
}

func do(asked request) (answer, error) {
	if asked.Do == "seal" {
		public, err := kem.NewPublicKey(asked.Key)
		if err != nil {
			return answer{}, err
		}
		text, err := seal(public, asked.Place, asked.Value)
		return answer{Text: text}, err
	}
	private, err := kem.NewPrivateKey(asked.Key)
	if err != nil {
		return answer{}, err
	}
	switch asked.Do {
	case "public":
		return answer{Value: private.PublicKey().Bytes()}, nil
	case "open":
		value, err := open(private, asked.Place, asked.Text)
		return answer{Value: value}, err
	}
	return answer{}, errors.New("there is no such thing to do")
}

func seal(public hpke.PublicKey, place []string, value []byte) (string, error) {
	kid := kidOf(public)
	body, err := hpke.Seal(public, kdf, aead, info(kid, place), padded(value))
	if err != nil {
		return "", err
	}
	return prefix + kid + "." + encoding.EncodeToString(body), nil
}

func open(private hpke.PrivateKey, place []string, text string) ([]byte, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || parts[0]+"." != prefix {
		return nil, errors.New("the text is not of the form")
	}
	kid := kidOf(private.PublicKey())
	if parts[1] != kid {
		return nil, errors.New("the text is for another key")
	}
	body, err := encoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	plain, err := hpke.Open(private, kdf, aead, info(kid, place), body)
	if err != nil {
		return nil, err
	}
	return unpadded(plain)
}

func kidOf(public hpke.PublicKey) string {
	digest := sha256.Sum256(public.Bytes())
	return hex.EncodeToString(digest[:8])
}

func info(kid string, place []string) []byte {
	out := []byte(domain)
	for _, part := range append([]string{kid}, place...) {
		out = binary.BigEndian.AppendUint64(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

func padded(value []byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(value)))
	out = append(out, value...)
	return append(out, make([]byte, (step-len(out)%step)%step)...)
}

func unpadded(plain []byte) ([]byte, error) {
	if len(plain) < 4 {
		return nil, errors.New("there is no length")
	}
	length := binary.BigEndian.Uint32(plain)
	if length > longest || int(length) > len(plain)-4 {
		return nil, errors.New("the length is too large")
	}
	value := plain[4 : 4+length]
	if !bytes.Equal(plain, padded(value)) {
		return nil, errors.New("the padding is another one")
	}
	return value, nil
}
