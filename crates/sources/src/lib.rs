//! Where kube-ipvs's input comes from: files, a Kubernetes watch, configuration.
