{{/* Variables: plain ones, then those from Secrets. Connectors keep what they remember below HOME,
and go without what they cannot read there, such as the state of a newer version. */}}
{{- define "car-connector.env" -}}
{{- $car := .root.Values.car -}}
{{- if or (eq (include "car-connector.imports" .) "true") (eq (.it.mode | default "import") "run") }}
- name: CONNECTION_NAME
  value: {{ include "car-connector.source" . | quote }}
{{- end }}
{{- if eq $car.auth "token" }}
- name: CAR_SERVICE_URL_FOR_AUTHTOKEN
  value: {{ tpl $car.url .root | quote }}
- name: CAR_SERVICE_AUTHTOKEN
  valueFrom:
    secretKeyRef: {name: {{ tpl $car.secretName .root }}, key: CAR_SERVICE_AUTHTOKEN}
{{- else }}
- name: CAR_SERVICE_URL
  value: {{ tpl $car.url .root | quote }}
- name: CAR_SERVICE_KEY
  valueFrom:
    secretKeyRef: {name: {{ tpl $car.secretName .root }}, key: CAR_SERVICE_KEY}
- name: CAR_SERVICE_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ tpl $car.secretName .root }}, key: CAR_SERVICE_PASSWORD}
{{- end }}
{{- if $car.ca.configMap }}
- name: SSL_CERT_FILE
  value: /etc/car/ca/{{ $car.ca.key }}
{{- end }}
- name: HOME
  value: /var/lib/car
{{- range $name, $value := .it.env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- range $name, $from := .it.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {name: {{ $from.name }}, key: {{ $from.key }}}
{{- end }}
{{- if .it.apiKey }}
- name: CONNECTOR_API_KEY
  valueFrom:
    secretKeyRef: {name: {{ .it.apiKey.name }}, key: {{ .it.apiKey.key }}}
{{- end }}
{{- if .it.settingsKey }}
- name: CONNECTOR_SETTINGS_KEY
  valueFrom:
    secretKeyRef: {name: {{ .it.settingsKey.name }}, key: {{ .it.settingsKey.key }}}
{{- end }}
{{- end -}}

{{- define "car-connector.mounts" -}}
- {name: state, mountPath: /var/lib/car}
- {name: scratch, mountPath: /tmp}
{{- if .it.settings }}
- {name: settings, mountPath: /etc/car/settings, readOnly: true}
{{- end }}
{{- if or .it.files .it.filesConfigMap }}
- {name: files, mountPath: /etc/car/files, readOnly: true}
{{- end }}
{{- if .connectors }}
- {name: connectors, mountPath: /etc/car/connectors, readOnly: true}
{{- end }}
{{- if .it.encryptedSecrets }}
- {name: secrets, mountPath: /etc/secrets, readOnly: true}
{{- end }}
{{- if .it.secretProviderClass }}
- {name: secret-store, mountPath: /mnt/secret-store, readOnly: true}
{{- end }}
{{- if .root.Values.car.ca.configMap }}
- {name: ca, mountPath: /etc/car/ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "car-connector.volumes" -}}
{{- $name := include "car-connector.name" . -}}
- name: state
{{- if eq (include "car-connector.persistent" .) "true" }}
  persistentVolumeClaim: {claimName: {{ include "car-connector.claim" . }}}
{{- else }}
  emptyDir: {sizeLimit: {{ .root.Values.scratch.size }}}
{{- end }}
- name: scratch
  emptyDir: {sizeLimit: {{ .root.Values.scratch.size }}}
{{- if .it.settings }}
- name: settings
  configMap: {name: {{ $name }}-settings}
{{- end }}
{{- if .it.filesConfigMap }}
- name: files
  configMap: {name: {{ .it.filesConfigMap }}}
{{- else if .it.files }}
- name: files
  configMap: {name: {{ $name }}-files}
{{- end }}
{{- with .connectors }}
- name: connectors
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .it.encryptedSecrets }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ .name }}}
      - secret:
          name: {{ .keyName }}
          items: [{key: key.jwk, path: .jwk/key.jwk}]
{{- end }}
{{- if .it.secretProviderClass }}
- name: secret-store
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes: {secretProviderClass: {{ .it.secretProviderClass }}}
{{- end }}
{{- if .root.Values.car.ca.configMap }}
- name: ca
  configMap: {name: {{ .root.Values.car.ca.configMap }}}
{{- end }}
{{- end -}}

{{/* The container, as an item of the list; .args are the verb and its arguments. */}}
{{- define "car-connector.container" -}}
- name: connector
  image: {{ include "car-connector.image" . | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args:
    {{- range .args }}
    - {{ . | quote }}
    {{- end }}
    {{- if .it.settings }}
    - --config=/etc/car/settings/settings.yaml
    {{- end }}
  env:
    {{- include "car-connector.env" . | trim | nindent 4 }}
  {{- if .it.externalSecret }}
  envFrom:
    - secretRef: {name: {{ include "car-connector.name" . }}-external}
  {{- end }}
  resources:
    {{- toYaml (.it.resources | default .root.Values.resources) | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    runAsNonRoot: true
    runAsUser: {{ .root.Values.runAsUser }}
    runAsGroup: {{ .root.Values.runAsUser }}
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    {{- include "car-connector.mounts" . | nindent 4 }}
{{- end -}}

{{/* What all pods of a connection have in common, beside their container. */}}
{{- define "car-connector.pod" -}}
serviceAccountName: {{ include "car-connector.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .root.Values.runAsUser }}
  runAsGroup: {{ .root.Values.runAsUser }}
  fsGroup: {{ .root.Values.fsGroup }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  {{- include "car-connector.volumes" . | nindent 2 }}
{{- end -}}

{{- define "car-connector.podMeta" -}}
labels:
  {{- include "car-connector.labels" . | nindent 2 }}
  car-connector/verb: {{ first .args }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/settings: {{ toJson (list .it.settings .it.files) | sha256sum }}
  {{- if .connectors }}
  checksum/connectors: {{ toJson .it.workers.connectors | sha256sum }}
  {{- end }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
