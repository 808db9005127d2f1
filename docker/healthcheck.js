// For container engines with a single health check. It checks readiness, so that dependants that wait for "healthy"
// can send requests. Kubernetes does not use it: it has a probe for each of the three /health paths.
fetch(`http://127.0.0.1:${process.env.PORT || 8000}/health/ready`).then(
  ({ ok }) => process.exit(ok ? 0 : 1),
  () => process.exit(1),
);
