{{/* One object for the templates of a connection: the whole release as .root, the entry as .it. */}}

{{- define "car-connector.name" -}}
{{- $name := printf "%s-%s" .root.Release.Name .it.name -}}
{{- if gt (len $name) 52 -}}
{{- fail (printf "connection %s: the name %s is longer than 52 characters, the most that a CronJob may have; shorten the release or the connection" .it.name $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "car-connector.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .it.name }}
{{- end -}}

{{- define "car-connector.labels" -}}
{{ include "car-connector.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: car
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The source in the graph. */}}
{{- define "car-connector.source" -}}
{{ .it.source | default .it.name }}
{{- end -}}

{{/* "true" when it imports as a source of its own; else it has installed connectors only. */}}
{{- define "car-connector.imports" -}}
{{- $mode := .it.mode | default "import" -}}
{{- if eq $mode "import" }}true{{ else if eq $mode "run" }}false
{{- else }}{{ or (not (empty .it.schedule)) (not (empty .it.source)) }}{{ end -}}
{{- end -}}

{{/* How many pods do nothing but the steps of tasks on a Temporal server. */}}
{{- define "car-connector.workers" -}}
{{- $own := .it.workers | default dict -}}
{{- if hasKey $own "replicas" }}{{ $own.replicas }}
{{- else if eq (.it.mode | default "import") "worker" }}2
{{- else }}0{{ end -}}
{{- end -}}

{{- define "car-connector.serviceAccount" -}}
{{ (.it.serviceAccount).name | default (include "car-connector.name" .) }}
{{- end -}}

{{- define "car-connector.claim" -}}
{{ (.it.state).existingClaim | default (include "car-connector.name" .) }}
{{- end -}}

{{/* "true" when the state outlives a pod. */}}
{{- define "car-connector.persistent" -}}
{{- $own := .it.state | default dict -}}
{{- if hasKey $own "persistent" }}{{ $own.persistent }}{{ else }}{{ .root.Values.state.persistent }}{{ end -}}
{{- end -}}

{{- define "car-connector.image" -}}
{{- $own := .it.image | default dict -}}
{{- $registry := $own.registry | default .root.Values.image.registry -}}
{{- $tag := $own.tag | default .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- $path := printf "%s/%s:%s" $registry .it.connector $tag -}}
{{- if $own.digest }}{{ printf "%s@%s" $path $own.digest }}{{ else }}{{ $path }}{{ end -}}
{{- end -}}
