{{/* What the schema cannot say, or not so that a person understands it. */}}
{{- define "car-connector.check" -}}
{{- if not .Values.image.registry -}}
{{- fail "image.registry is missing: the registry and path that hold the images, such as registry.example.com/car" -}}
{{- end -}}
{{- if not .Values.car.url -}}
{{- fail "car.url is missing: the address of the CAR service, which ends in /api/car/v2" -}}
{{- end -}}
{{- if not .Values.car.secretName -}}
{{- fail "car.secretName is missing: the Secret with the credentials for the CAR service" -}}
{{- end -}}
{{- $names := dict -}}
{{- $sources := dict -}}
{{- range .Values.connections -}}
{{- if hasKey $names .name -}}
{{- fail (printf "two connections are named %s: each needs a name of its own" .name) -}}
{{- end -}}
{{- $_ := set $names .name true -}}
{{- $mode := .mode | default "import" -}}
{{- $source := .source | default .name -}}
{{- if and (ne $mode "worker") (eq (include "car-connector.imports" (dict "it" .)) "true") -}}
{{- if hasKey $sources $source -}}
{{- fail (printf "connections %s and %s import as the same source %s: their deletions would undo each other" (get $sources $source) .name $source) -}}
{{- end -}}
{{- $_ := set $sources $source .name -}}
{{- end -}}
{{- if eq "latest" ((.image).tag | default $.Values.image.tag) -}}
{{- fail "the tag latest names another image every day, and a rollback would not roll back: name a version" -}}
{{- end -}}
{{- if and (eq "serve" $mode) (not .apiKey) -}}
{{- fail (printf "connection %s serves and has no apiKey: name the Secret and the key in it that callers must give" .name) -}}
{{- end -}}
{{- if .schedule -}}
{{- include "car-connector.checkSchedule" . -}}
{{- else if eq "import" $mode -}}
{{- fail (printf "connection %s has no schedule: when to import, as a cron expression of five fields" .name) -}}
{{- end -}}
{{- include "car-connector.checkWorkers" (dict "it" . "on" $.Values.temporal.address) -}}
{{- if and (eq "run" $mode) (not .run) -}}
{{- fail (printf "connection %s has the mode run, and no run: the verb and its arguments, such as [fulfill, --watch]" .name) -}}
{{- end -}}
{{- if and .run (not (regexMatch "^[a-z][a-z0-9-]*$" (first .run))) -}}
{{- fail (printf "connection %s: run begins with %q, which is no verb" .name (first .run)) -}}
{{- end -}}
{{- if and (ne "run" $mode) (or .run .port) -}}
{{- fail (printf "connection %s has run or port, which are of the mode run" .name) -}}
{{- end -}}
{{- include "car-connector.checkSecrets" . -}}
{{- end -}}
{{- end -}}

{{- define "car-connector.checkSchedule" -}}
{{- $schedule := trim .schedule -}}
{{- if hasPrefix "@" $schedule -}}
{{- if not (has $schedule (list "@yearly" "@annually" "@monthly" "@weekly" "@daily" "@midnight" "@hourly")) -}}
{{- fail (printf "connection %s: the schedule %q is unknown; there are @hourly, @daily, @weekly, @monthly and @yearly" .name $schedule) -}}
{{- end -}}
{{- else -}}
{{- $fields := regexSplit " +" $schedule -1 -}}
{{- if ne 5 (len $fields) -}}
{{- fail (printf "connection %s: the schedule %q is no cron expression: it has %d fields, not 5 (minute, hour, day of the month, month, day of the week)" .name $schedule (len $fields)) -}}
{{- end -}}
{{- $kinds := list
  (list "minute" "[0-5]?[0-9]")
  (list "hour" "[01]?[0-9]|2[0-3]")
  (list "day of the month" "0?[1-9]|[12][0-9]|3[01]")
  (list "month" "0?[1-9]|1[0-2]|[A-Za-z]{3}")
  (list "day of the week" "[0-7]|[A-Za-z]{3}") -}}
{{- range $index, $kind := $kinds -}}
{{- $field := index $fields $index -}}
{{- $one := printf "(\\*|(%s)(-(%s))?)(/[1-9][0-9]*)?" (index $kind 1) (index $kind 1) -}}
{{- if not (regexMatch (printf "^%s(,%s)*$" $one $one) $field) -}}
{{- fail (printf "connection %s: the schedule %q is no cron expression: %q is no %s" $.name $schedule $field (index $kind 0)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "car-connector.checkWorkers" -}}
{{- $mode := .it.mode | default "import" -}}
{{- $own := .it.workers | default dict -}}
{{- $workers := int (include "car-connector.workers" .) -}}
{{- $elsewhere := and (eq "serve" $mode) (eq "temporal" (.it.tasks | default "file")) -}}
{{- if and (or $elsewhere (eq "worker" $mode)) (not .on) -}}
{{- fail (printf "connection %s has its tasks on a Temporal server, and temporal.address is missing, such as temporal://temporal-frontend:7233/default" .it.name) -}}
{{- end -}}
{{- if and .it.workers (not (or $elsewhere (eq "worker" $mode))) -}}
{{- fail (printf "connection %s has workers, which need tasks on a Temporal server: mode worker, or mode serve with tasks: temporal" .it.name) -}}
{{- end -}}
{{- if and $own.connectors $own.connectorsSecret -}}
{{- fail (printf "connection %s has both workers.connectors and workers.connectorsSecret: one file is read" .it.name) -}}
{{- end -}}
{{- if and (gt $workers 0) (ne (include "car-connector.imports" .) "true") (not (or $own.connectors $own.connectorsSecret)) -}}
{{- fail (printf "connection %s has workers with nothing to work for: give schedule or source and the settings of its imports, or workers.connectors, or workers.connectorsSecret" .it.name) -}}
{{- end -}}
{{- $name := .it.name -}}
{{- range $connector, $entry := $own.connectors -}}
{{- range $flag, $_ := ($entry | default dict).settings -}}
{{- if regexMatch "(password|secret|token|api-?key|service-?key)" ($flag | lower | replace "_" "-") -}}
{{- fail (printf "connection %s: the setting %s of the connector %s is a secret, and workers.connectors is kept in a ConfigMap; use workers.connectorsSecret" $name $flag $connector) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "car-connector.checkSecrets" -}}
{{- $name := .name -}}
{{- range $flag, $_ := .settings -}}
{{- if regexMatch "(password|secret|token|api-key|service-key)" ($flag | replace "_" "-") -}}
{{- fail (printf "connection %s: the setting %s is a secret, and settings are kept in a ConfigMap; use secretEnv, encryptedSecrets or externalSecret" $name $flag) -}}
{{- end -}}
{{- end -}}
{{- range $variable, $_ := .env -}}
{{- if regexMatch "(PASSWORD|SECRET|TOKEN|_KEY$)" $variable -}}
{{- fail (printf "connection %s: the variable %s is a secret, and env is readable in the manifest; use secretEnv, encryptedSecrets or externalSecret" $name $variable) -}}
{{- end -}}
{{- end -}}
{{- end -}}
