{{- define "car-service.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "car-service.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end -}}

{{- define "car-service.common" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: car
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "car-service.labels" -}}
{{ include "car-service.common" . }}
app.kubernetes.io/component: service
{{- end -}}

{{- define "car-service.image" -}}
{{- $i := .Values.image -}}
{{- printf "%s/%s:%s" $i.registry $i.repository ($i.tag | default .Chart.AppVersion) -}}
{{- if $i.digest }}@{{ $i.digest }}{{ end -}}
{{- end -}}

{{- define "car-service.credentials" -}}
{{ .Values.credentials.secretName | default (printf "%s-credentials" (include "car-service.name" .)) }}
{{- end -}}

{{/* Where the address of the PostgreSQL server is kept. */}}
{{- define "car-service.databaseSecret" -}}
{{- if eq .Values.database.type "cnpg" -}}
{{ include "car-service.name" . }}-db-app
{{- else -}}
{{ .Values.database.postgresql.secretName }}
{{- end -}}
{{- end -}}

{{- define "car-service.databaseKey" -}}
{{- if eq .Values.database.type "cnpg" }}uri{{ else }}{{ .Values.database.postgresql.key }}{{ end -}}
{{- end -}}

{{/* Arguments that say where the data is. */}}
{{- define "car-service.place" -}}
{{- if eq .Values.database.type "sqlite" -}}
- --data=/var/lib/car
{{- else -}}
- --database-url-file=/etc/car/database/uri
{{- end -}}
{{- end -}}

{{- define "car-service.container" -}}
image: {{ include "car-service.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "car-service.confined" . }}
{{- end -}}

{{- define "car-service.confined" -}}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: {{ .Values.runAsUser }}
  runAsGroup: {{ .Values.runAsUser }}
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "car-service.mounts" -}}
- {name: scratch, mountPath: /tmp}
{{- if eq .Values.database.type "sqlite" }}
- {name: data, mountPath: /var/lib/car}
{{- else }}
- {name: database, mountPath: /etc/car/database, readOnly: true}
{{- if .Values.database.postgresql.ca.configMap }}
- {name: database-ca, mountPath: /etc/car/database-ca, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "car-service.volumes" -}}
- name: scratch
  emptyDir: {sizeLimit: 256Mi}
{{- if ne .Values.database.type "sqlite" }}
- name: database
  secret:
    secretName: {{ include "car-service.databaseSecret" . }}
    defaultMode: 0440
    items: [{key: {{ include "car-service.databaseKey" . }}, path: uri}]
{{- with .Values.database.postgresql.ca.configMap }}
- name: database-ca
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* What all pods have in common, beside containers and volumes. */}}
{{- define "car-service.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.runAsUser }}
  runAsGroup: {{ .Values.runAsUser }}
  fsGroup: {{ .Values.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The template of the serving pods, for the Deployment and the StatefulSet. */}}
{{- define "car-service.template" -}}
metadata:
  labels:
    {{- include "car-service.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "car-service.name" . }}
  {{- include "car-service.pod" . | nindent 2 }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: car-service
      {{- include "car-service.container" . | nindent 6 }}
      args:
        - serve
        - --listen=0.0.0.0:8110
        {{- include "car-service.place" . | nindent 8 }}
        {{- if .Values.tls.secretName }}
        - --tls-cert=/etc/car/tls/tls.crt
        - --tls-key=/etc/car/tls/tls.key
        {{- end }}
      env:
        - name: RUST_LOG
          value: {{ .Values.logFilter | quote }}
        - name: CAR_SERVICE_KEY
          valueFrom:
            secretKeyRef: {name: {{ include "car-service.credentials" . }}, key: CAR_SERVICE_KEY}
        - name: CAR_SERVICE_PASSWORD
          valueFrom:
            secretKeyRef: {name: {{ include "car-service.credentials" . }}, key: CAR_SERVICE_PASSWORD}
      ports:
        - {name: http, containerPort: 8110}
      {{- $get := dict "path" "/api/car/v3/health" "port" "http" }}
      {{- if .Values.tls.secretName }}{{ $_ := set $get "scheme" "HTTPS" }}{{ end }}
      # A first start makes the tables; a start after an upgrade brings them up to date.
      startupProbe:
        httpGet: {{ toJson $get }}
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet: {{ toJson $get }}
        periodSeconds: 20
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {{ toJson $get }}
        periodSeconds: 5
        timeoutSeconds: 5
      volumeMounts:
        {{- include "car-service.mounts" . | nindent 8 }}
        {{- if .Values.tls.secretName }}
        - {name: tls, mountPath: /etc/car/tls, readOnly: true}
        {{- end }}
  volumes:
    {{- include "car-service.volumes" . | nindent 4 }}
    {{- with .Values.tls.secretName }}
    - name: tls
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
{{- end -}}

{{/* A job that looks after the tables, as a hook: .name, .hooks and .args, the release as .root. */}}
{{- define "car-service.migrate" -}}
{{- $root := .root -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "car-service.name" $root }}-{{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "car-service.common" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .name }}
  annotations:
    helm.sh/hook: {{ .hooks }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 2
  activeDeadlineSeconds: 1800
  template:
    metadata:
      labels:
        {{- include "car-service.common" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .name }}
    spec:
      restartPolicy: Never
      {{- include "car-service.pod" $root | nindent 6 }}
      containers:
        - name: {{ .name }}
          {{- include "car-service.container" $root | nindent 10 }}
          args:
            {{- toYaml .args | nindent 12 }}
            {{- include "car-service.place" $root | nindent 12 }}
          volumeMounts:
            {{- include "car-service.mounts" $root | nindent 12 }}
      volumes:
        {{- include "car-service.volumes" $root | nindent 8 }}
{{- end -}}

{{/* What the schema cannot say, or not so that a person understands it. */}}
{{- define "car-service.check" -}}
{{- $v := .Values -}}
{{- if not $v.image.registry -}}
{{- fail "image.registry is missing: the registry and path that hold the image, such as registry.example.com/car" -}}
{{- end -}}
{{- if eq "latest" $v.image.tag -}}
{{- fail "the tag latest names another image every day, and a rollback would not roll back: name a version" -}}
{{- end -}}
{{- if and (not $v.credentials.secretName) (not (and $v.credentials.key $v.credentials.password)) -}}
{{- fail "no credentials: name a Secret with CAR_SERVICE_KEY and CAR_SERVICE_PASSWORD in credentials.secretName, or for a try give credentials.key and credentials.password" -}}
{{- end -}}
{{- if and (eq $v.database.type "postgresql") (not $v.database.postgresql.secretName) -}}
{{- fail "database.type is postgresql and database.postgresql.secretName is missing: the Secret with the address of the server" -}}
{{- end -}}
{{- if and $v.ingress.enabled (not (and $v.ingress.host $v.ingress.tlsSecretName)) -}}
{{- fail "ingress needs host and tlsSecretName: credentials go over it, so it is never without TLS" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if $v.backup.enabled -}}
{{- if not $v.backup.claimName -}}
{{- fail "backup.claimName is missing: the PersistentVolumeClaim that takes the files" -}}
{{- end -}}
{{- if and (eq $v.database.type "postgresql") (not $v.backup.postgresImage) -}}
{{- fail "backup.postgresImage is missing: an image with sh and pg_dump" -}}
{{- end -}}
{{- if eq $v.database.type "cnpg" -}}
{{- fail "backup is for sqlite and postgresql: with cnpg, ask its operator for a ScheduledBackup" -}}
{{- end -}}
{{- end -}}
{{- end -}}
