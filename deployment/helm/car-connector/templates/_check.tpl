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
{{- $source := .source | default .name -}}
{{- if hasKey $sources $source -}}
{{- fail (printf "connections %s and %s import as the same source %s: their deletions would undo each other" (get $sources $source) .name $source) -}}
{{- end -}}
{{- $_ := set $sources $source .name -}}
{{- if eq "latest" ((.image).tag | default $.Values.image.tag) -}}
{{- fail "the tag latest names another image every day, and a rollback would not roll back: name a version" -}}
{{- end -}}
{{- if and (eq "serve" (.mode | default "import")) (not .apiKey) -}}
{{- fail (printf "connection %s serves and has no apiKey: name the Secret and the key in it that callers must give" .name) -}}
{{- end -}}
{{- include "car-connector.checkSchedule" . -}}
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
