// For engines that have one check only: ready, so that whatever waits for "healthy" can send requests.
// Kubernetes asks the three paths of /health itself.
fetch(`http://127.0.0.1:${process.env.PORT || 8000}/health/ready`).then(
  ({ ok }) => process.exit(ok ? 0 : 1),
  () => process.exit(1),
);
