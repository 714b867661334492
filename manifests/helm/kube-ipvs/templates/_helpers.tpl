{{/* Labels that select the pods. They are the same for every release: a node has one proxy. */}}
{{- define "kube-ipvs.selector" -}}
app.kubernetes.io/name: kube-ipvs
{{- end }}

{{- define "kube-ipvs.labels" -}}
{{ include "kube-ipvs.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "kube-ipvs.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Directory and file of the configuration. */}}
{{- define "kube-ipvs.directory" -}}
{{ if .Values.kubeProxyConfig.enabled }}{{ .Values.kubeProxyConfig.mountPath }}{{ else }}/etc/kube-ipvs{{ end }}
{{- end }}

{{- define "kube-ipvs.arguments" -}}
- --no-modprobe
- --config={{ include "kube-ipvs.directory" . }}/{{ if .Values.kubeProxyConfig.enabled }}{{ .Values.kubeProxyConfig.key }}{{ else }}config.yaml{{ end }}
- --hostname-override=$(NODE_NAME)
{{- end }}

{{- define "kube-ipvs.env" -}}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- if not .Values.kubeProxyConfig.enabled }}
- name: KUBERNETES_SERVICE_HOST
  valueFrom:
    configMapKeyRef:
      name: kube-ipvs-api-server
      key: host
- name: KUBERNETES_SERVICE_PORT
  valueFrom:
    configMapKeyRef:
      name: kube-ipvs-api-server
      key: port
{{- end }}
{{- end }}

{{/* Port of the metrics. */}}
{{- define "kube-ipvs.metricsPort" -}}
{{ if and .Values.monitoring.enabled .Values.monitoring.bindAddress }}{{ splitList ":" .Values.monitoring.bindAddress | last }}{{ else }}10249{{ end }}
{{- end }}

{{/* The configuration file. */}}
{{- define "kube-ipvs.configuration" -}}
apiVersion: kube-ipvs.io/v1alpha1
kind: KubeIpvsConfiguration
{{ toYaml .Values.configuration }}
{{- end }}

{{/* Address of the API server. */}}
{{- define "kube-ipvs.host" -}}
{{- required "apiServer.host is not set. Set it to an address of the API server that nodes reach without a Service, such as that of its load balancer (not the cluster IP of the Service kubernetes, which these pods serve); or set kubeProxyConfig.enabled=true to use kube-proxy's ConfigMap." .Values.apiServer.host }}
{{- end }}
