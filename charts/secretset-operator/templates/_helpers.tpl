{{- define "secretset.labels" -}}
app.kubernetes.io/part-of: secretset-operator
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "secretset.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "secretset.hub" -}}
{{- if eq .Values.mode "hub" }}yes{{ end -}}
{{- end }}

{{/* On another cluster only where it can ask the hub. */}}
{{- define "secretset.webhook" -}}
{{- if and .Values.webhook.enabled (or (include "secretset.hub" .) .Values.webhook.hubKubeconfigSecret) }}yes{{ end -}}
{{- end }}

{{/* Whether an admission policy is wanted: takes [root, "auto" | true | false]. */}}
{{- define "secretset.policy" -}}
{{- $root := index . 0 -}}
{{- $wanted := toString (index . 1) -}}
{{- if or (eq $wanted "true") (and (eq $wanted "auto") (semverCompare ">=1.36.0-0" $root.Capabilities.KubeVersion.Version)) }}yes{{ end -}}
{{- end }}

{{/* What all containers have beside what is theirs: takes root. */}}
{{- define "secretset.container" -}}
image: {{ include "secretset.image" . }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* What all pods have: takes [root, name, values of the component, whether files are mounted, whether of a Deployment]. */}}
{{- define "secretset.pod" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $values := index . 2 -}}
terminationGracePeriodSeconds: 30
{{- with $root.Values.topologySpread.topologyKeys }}
topologySpreadConstraints:
{{- range . }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
  labelSelector: {matchLabels: {app.kubernetes.io/name: {{ $name }}}}
  {{- if index $ 4 }}
  # Those of the version before, which are going, do not count.
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- with $root.Values.podSecurity.runAsUser }}
  runAsUser: {{ . }}
  {{- end }}
  {{- with $root.Values.podSecurity.runAsGroup }}
  runAsGroup: {{ . }}
  {{- end }}
  {{- if index . 3 }}
  {{- with $root.Values.podSecurity.fsGroup }}
  fsGroup: {{ . }}
  {{- end }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with $values.priorityClassName | default $root.Values.priorityClass.name }}
priorityClassName: {{ . }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $values $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Metadata of pods: takes [root, name, values of the component]. */}}
{{- define "secretset.podMetadata" -}}
labels:
  app.kubernetes.io/name: {{ index . 1 }}
  {{- include "secretset.labels" (index . 0) | nindent 2 }}
  {{- with (index . 2).podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with (index . 2).podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Settings as environment variables; null ones are left out: maxRollouts becomes SECRETSET_MAX_ROLLOUTS. */}}
{{- define "secretset.settings" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
- name: SECRETSET_{{ $name | snakecase | upper }}
  value: {{ kindIs "slice" $value | ternary (join "," (kindIs "slice" $value | ternary $value list)) (kindIs "float64" $value | ternary (include "secretset.number" $value) (toString $value)) | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Numbers of values are floats for Helm: 2097152, not 2.097152e+06. */}}
{{- define "secretset.number" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}
{{- end }}

{{/* A PodDisruptionBudget: takes [root, name]. */}}
{{- define "secretset.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ index . 1 }}
  namespace: {{ (index . 0).Release.Namespace }}
  labels:
    {{- include "secretset.labels" (index . 0) | nindent 4 }}
spec:
  maxUnavailable: 1
  # One that does not work anyway holds no drain up.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {app.kubernetes.io/name: {{ index . 1 }}}
{{- end }}

{{/*
Namespaces that the operator keeps Secrets in, as JSON: {namespace: {"create": bool}}. On the hub, what follows from
organizations and regions, and regionalNamespaces beside it.
*/}}
{{- define "secretset.regionalNamespaces" -}}
{{- $found := dict -}}
{{- if include "secretset.hub" . -}}
{{- $known := dict -}}
{{- range .Values.regions -}}
{{- $_ := set $known .name . -}}
{{- end -}}
{{- range $organization := .Values.organizations -}}
{{- $names := $organization.regions -}}
{{- if kindIs "invalid" $names -}}
{{- $names = list -}}
{{- range $.Values.regions -}}
{{- if not (or .cluster .organizations .decommissioned) -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $names -}}
{{- $region := get $known . -}}
{{- if not $region -}}
{{- fail (printf "organizations: '%s' names the region '%s', which is not among regions; name its namespace under regionalNamespaces instead" $organization.name .) -}}
{{- end -}}
{{- if not $region.cluster -}}
{{- $template := $region.namespace | default "{namespace}-{region}" -}}
{{- $namespace := $template | replace "{namespace}" $organization.name | replace "{region}" . -}}
{{- $_ := set $found $namespace (dict "create" (or $organization.create false)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.regionalNamespaces -}}
{{- $_ := set $found .name (dict "create" (or .create false)) -}}
{{- end -}}
{{- range .Values.organizations -}}
{{- if hasKey $found .name -}}
{{- $_ := set $found .name (dict "create" false) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{/* How an API server knows the webhook: takes [root, path]. */}}
{{- define "secretset.client" -}}
service: {namespace: {{ (index . 0).Release.Namespace }}, name: secretset-webhook, path: {{ index . 1 }}, port: 443}
{{- with (index . 0).Values.webhook.certificate.caBundle }}
caBundle: {{ b64enc . }}
{{- end }}
{{- end }}
