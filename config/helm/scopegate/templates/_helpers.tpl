{{/* The name of everything that the chart makes. */}}
{{- define "scopegate.name" -}}
{{- $name := contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) -}}
{{ $name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "scopegate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "scopegate.labels" -}}
{{ include "scopegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The settings file. Another chart puts its checksum on its pod, because scopegate reads settings at the start. */}}
{{- define "scopegate.settings" -}}
{{- if not (dig "introspection" "url" "" .Values.settings) }}{{ fail "settings.introspection.url is missing: the introspection endpoint of your authorization server" }}{{ end -}}
{{ toYaml .Values.settings }}
{{- end }}

{{- define "scopegate.rulesConfigMap" -}}
{{ .Values.rulesConfigMap | default (printf "%s-rules" (include "scopegate.name" .)) }}
{{- end }}

{{- define "scopegate.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The container, for a Deployment of its own and for a sidecar. */}}
{{- define "scopegate.container" -}}
name: scopegate
image: {{ include "scopegate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.env }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - { name: gate, containerPort: {{ .Values.settings.listen.proxy.port }} }
  - { name: admin, containerPort: {{ .Values.settings.listen.admin.port }} }
startupProbe:
  httpGet: { path: /health/ready, port: admin }
  periodSeconds: 1
  failureThreshold: 30
readinessProbe:
  httpGet: { path: /health/ready, port: admin }
  periodSeconds: 5
livenessProbe:
  httpGet: { path: /health/alive, port: admin }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
resources: {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
  seccompProfile: { type: RuntimeDefault }
volumeMounts:
  - { name: scopegate-settings, mountPath: /etc/scopegate/scopegate.yaml, subPath: scopegate.yaml, readOnly: true }
  - { name: scopegate-rules, mountPath: /etc/scopegate/rules, readOnly: true }
  {{- if .Values.secretName }}
  - { name: scopegate-secrets, mountPath: /etc/scopegate/secrets, readOnly: true }
  {{- end }}
{{- end }}

{{/* A native sidecar, for initContainers of another chart's pod. */}}
{{- define "scopegate.sidecar" -}}
{{ include "scopegate.container" . }}
restartPolicy: Always
{{- end }}

{{/* The volumes that the container needs. */}}
{{- define "scopegate.volumes" -}}
- name: scopegate-settings
  configMap: { name: {{ include "scopegate.name" . }}-settings }
- name: scopegate-rules
  configMap: { name: {{ include "scopegate.rulesConfigMap" . }} }
{{- if .Values.secretName }}
- name: scopegate-secrets
  secret: { secretName: {{ .Values.secretName }} }
{{- end }}
{{- end }}
