// Command gitops says what GitOps tools make of objects, with these tools' own code and without a cluster.
//
//	gitops kstatus < objects    how Helm's --wait and Flux read the status of objects
//	gitops diff < comparisons   whether Argo CD calls objects OutOfSync
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/util/proto"
)

// reading is what kstatus makes of one object.
type reading struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// kstatus takes a JSON array of objects and gives one of readings, in the same order.
func kstatus(decoder *json.Decoder) (any, error) {
	var objects []unstructured.Unstructured
	if err := decoder.Decode(&objects); err != nil {
		return nil, err
	}
	readings := make([]reading, len(objects))
	for i := range objects {
		result, err := status.Compute(&objects[i])
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", objects[i].GetKind(), objects[i].GetName(), err)
		}
		readings[i] = reading{result.Status.String(), result.Message}
	}
	return readings, nil
}

// comparisons is what is compared, all of one cluster.
type comparisons struct {
	// OpenAPI is what the cluster answers for /openapi/v2; of the ways below only "client" does without it.
	OpenAPI json.RawMessage `json:"openapi"`
	// Manager is the field manager that Argo CD applies as.
	Manager string       `json:"manager"`
	Cases   []comparison `json:"cases"`
}

type comparison struct {
	// Way is how Argo CD compares: "client" is its default; "structured-merge" comes with the sync option
	// ServerSideApply=true; "server" with the compare option ServerSideDiff=true, and "server-with-mutations" with
	// IncludeMutationWebhook=true besides.
	Way    string                     `json:"way"`
	Target *unstructured.Unstructured `json:"target"`
	Live   *unstructured.Unstructured `json:"live"`
	// Predicted is what the cluster answers to a dry run of a server-side apply of Target; for "server" alone.
	Predicted json.RawMessage `json:"predicted"`
}

// verdict is what Argo CD makes of one comparison.
type verdict struct {
	Modified  bool            `json:"modified"`
	Live      json.RawMessage `json:"live"`
	Predicted json.RawMessage `json:"predicted"`
}

// Run stands in for the dry run that Argo CD would ask the cluster for.
func (c comparison) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	if len(c.Predicted) == 0 {
		return "", errors.New("nothing is predicted")
	}
	return string(c.Predicted), nil
}

func compare(decoder *json.Decoder) (any, error) {
	var given comparisons
	if err := decoder.Decode(&given); err != nil {
		return nil, err
	}
	parser, err := parserOf(given.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	verdicts := make([]verdict, len(given.Cases))
	for i, each := range given.Cases {
		options := []diff.Option{diff.WithManager(given.Manager), diff.WithGVKParser(parser)}
		switch each.Way {
		case "client":
		case "structured-merge":
			options = append(options, diff.WithStructuredMergeDiff(true))
		case "server", "server-with-mutations":
			ignore := each.Way == "server"
			options = append(options, diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(each),
				diff.WithIgnoreMutationWebhook(ignore))
		default:
			return nil, fmt.Errorf("case %d: no such way: %q", i, each.Way)
		}
		result, err := diff.Diff(each.Target, each.Live, options...)
		if err != nil {
			return nil, fmt.Errorf("case %d: %w", i, err)
		}
		verdicts[i] = verdict{result.Modified, result.NormalizedLive, result.PredictedLive}
	}
	return verdicts, nil
}

// parserOf has the types of a cluster; nil of nothing.
func parserOf(document []byte) (*managedfields.GvkParser, error) {
	if len(document) == 0 {
		return nil, nil
	}
	parsed, err := openapi_v2.ParseDocument(document)
	if err != nil {
		return nil, err
	}
	models, err := proto.NewOpenAPIData(parsed)
	if err != nil {
		return nil, err
	}
	return managedfields.NewGVKParser(models, false)
}

func run(args []string) error {
	commands := map[string]func(*json.Decoder) (any, error){"kstatus": kstatus, "diff": compare}
	if len(args) != 2 || commands[args[1]] == nil {
		return errors.New("usage: gitops kstatus|diff < JSON")
	}
	result, err := commands[args[1]](json.NewDecoder(os.Stdin))
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}
