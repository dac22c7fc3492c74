{{- define "car-platform.container" -}}
image: {{ .Values.inventory.image | quote }}
imagePullPolicy: {{ .Values.inventory.pullPolicy }}
resources:
  requests: {cpu: 50m, memory: 64Mi, ephemeral-storage: 64Mi}
  limits: {cpu: "1", memory: 256Mi, ephemeral-storage: 1Gi}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: scratch, mountPath: /tmp}
{{- end -}}
