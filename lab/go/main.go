// Command kubelab is one binary that is any program of a Kubernetes control plane, chosen by its first
// argument: what a test or a demo needs of Kubernetes, without containers.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	helm "helm.sh/helm/v4/pkg/cmd"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodeheartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

var programs = map[string]func() int{
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return cli.Run(kcm.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kubectl":                 func() int { return cli.Run(kubectl.NewDefaultKubectlCommand()) },
	"kwok":                    runKwok,
	"kwok-stages":             func() int { fmt.Print(stages()); return 0 },
	"helm":                    runHelm,
}

func main() {
	if len(os.Args) > 1 {
		if run, ok := programs[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			os.Exit(run())
		}
	}
	fmt.Fprintln(os.Stderr, "usage: kubelab PROGRAM [ARGS...]")
	os.Exit(2)
}

// runKwok is kwok, which refuses to start without stages: if no --config names some, it gets those of this binary.
func runKwok() int {
	if !slices.ContainsFunc(os.Args, func(arg string) bool { return arg == "-c" || strings.HasPrefix(arg, "--config") }) {
		config, err := writeStages()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Args = append(os.Args, "--config="+config)
	}
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, logger := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err != nil {
		logger.Error("flags", "err", err)
		return 1
	}
	command := kwok.NewCommand(ctx)
	command.Version = "" // its --version would collide with the flag that Kubernetes registers globally
	command.PersistentFlags().AddFlagSet(flags)
	if err := command.ExecuteContext(ctx); err != nil {
		logger.Error("exit", "err", err)
		return 1
	}
	return 0
}

// writeStages writes the stages to a file in the folder for temporary files, and returns its name.
func writeStages() (string, error) {
	file, err := os.CreateTemp("", "kwok-stages-*.yaml")
	if err != nil {
		return "", err
	}
	if _, err := file.WriteString(stages()); err != nil {
		return "", err
	}
	return file.Name(), file.Close()
}

// readyDelay lets a pod's template say when kwok calls the pod ready, by the annotation that kwok's slower stages know
// too: "5s" makes a slow rollout, "1000h" one that stalls.
const readyDelay = `
  delay:
    durationMilliseconds: 0
    durationFrom:
      expressionFrom: '.metadata.annotations["pod-ready.stage.kwok.x-k8s.io/delay"]'
  next:
`

// stages returns what kwok wants as --config: stages that make nodes ready, pods run and jobs complete at once.
func stages() string {
	all := []string{
		nodefast.DefaultNodeInit,
		nodeheartbeat.DefaultNodeHeartbeat,
		strings.Replace(podfast.DefaultPodReady, "\n  next:\n", readyDelay, 1),
		podfast.DefaultPodComplete,
		podfast.DefaultPodDelete,
	}
	return strings.Join(all, "\n---\n")
}

func runHelm() int {
	var root *cobra.Command
	root, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
	if err == nil {
		err = root.Execute()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
