// Sealing, as operator/secretset/domain/sealing.py describes it and docs/adr/0011-sealing-scheme.md explains it.
import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";

/** What the server says of the key to seal with; no secret. */
export interface SealingKey {
  kid: string;
  installation: string;
  publicKey: string; // 1,216 bytes in base64
}

/** What a value is bound to: it opens nowhere else. */
export interface Place {
  kind: string;
  namespace: string;
  name: string;
  key: string;
}

/** Bytes; a longer value is refused. */
export const VALUE_MAX = 16_384;

const PREFIX = "hpke1.";
const DOMAIN = "secretset.dev/hpke1";
const STEP = 256; // bytes
const LENGTH = 4; // bytes
const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const utf8 = new TextEncoder();

/** The text for `sealed`; another one each time. */
export async function seal(key: SealingKey, place: Place, value: Uint8Array): Promise<string> {
  if (value.length > VALUE_MAX) {
    throw new RangeError(`A value is at most ${VALUE_MAX.toLocaleString("en")} bytes long`);
  }
  const publicKey = await suite.kem.deserializePublicKey(fromBase64(key.publicKey).buffer as ArrayBuffer);
  const parts = [key.kid, key.installation, place.kind, place.namespace, place.name, place.key];
  const info = joined([utf8.encode(DOMAIN), ...parts.map((part) => framed(utf8.encode(part)))]);
  const sender = await suite.createSenderContext({ recipientPublicKey: publicKey, info });
  const plain = padded(value);
  const sealed = new Uint8Array(await sender.seal(plain.buffer as ArrayBuffer));
  plain.fill(0);
  return `${PREFIX}${key.kid}.${base64url(joined([new Uint8Array(sender.enc), sealed]))}`;
}

/** A part with its length before it (8 bytes, big-endian), so that no two lists of parts give the same bytes. */
function framed(part: Uint8Array): Uint8Array {
  const out = new Uint8Array(8 + part.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(part.length));
  out.set(part, 8);
  return out;
}

function padded(value: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil((LENGTH + value.length) / STEP) * STEP);
  new DataView(out.buffer).setUint32(0, value.length);
  out.set(value, LENGTH);
  return out;
}

function joined(parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function base64url(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  }
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
