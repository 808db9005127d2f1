"""Checks the manifests in k8s/. Each problem is reported with the overlay or file, and the field."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import cloudcoil.pydantic
import kubernetes_validate
import yaml
from pydantic import ValidationError

# The operators' models, generated from their CRDs, accept unknown fields unless this is set before they are imported.
cloudcoil.pydantic.BaseModel.model_config["extra"] = "forbid"
from cloudcoil.models.keda import v1alpha1 as keda  # noqa: E402
from cloudcoil.models.prometheus_operator import v1 as operator  # noqa: E402

KUBERNETES = ["1.30", "1.37"]  # the oldest version with all the fields used here, and the newest
CUSTOM = {
    "ServiceMonitor": operator.ServiceMonitorSpec,
    "PrometheusRule": operator.PrometheusRuleSpec,
    "ScaledObject": keda.ScaledObjectSpec,
}
# Fields of KServe's predictor that are not fields of a pod; only those used here.
PREDICTOR = {"minReplicas": int, "maxReplicas": int, "scaleMetric": str, "scaleTarget": int}
FILES = sorted(Path("k8s").rglob("*.yaml"))


def problems_of(document: dict) -> list[str]:
    """Violations of the schema of the document's kind."""
    kind, spec = document["kind"], document.get("spec", {})
    if kind in CUSTOM:
        try:
            CUSTOM[kind].model_validate_json(json.dumps(spec), strict=True)
        except ValidationError as error:
            return [f"{'.'.join(map(str, ('spec', *e['loc'])))}: {e['msg']}" for e in error.errors()]
        return []
    if kind == "InferenceService":
        predictor = dict(spec.get("predictor", {}))
        extra = {name: predictor.pop(name, None) for name in PREDICTOR}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": predictor}
        return (
            [f"spec.{name}: not a field" for name in spec if name != "predictor"]
            + [f"spec.predictor.{name}: must be {of.__name__}" for name, of in PREDICTOR.items() if not isinstance(extra[name], of)]
            + [f"predictor: {problem}" for problem in problems_of(pod)]
        )
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            return [f"{'.'.join(map(str, error.path)) or 'the document'}: {error.message} (Kubernetes {version})"]
    return []


def written_in(kind: str, problem: str) -> str:
    """The files that define an object; if the problem is an unknown field, only those that contain it."""
    files = {file: file.read_text() for file in FILES if re.search(rf"\bkind: {kind}$", file.read_text(), re.M)}
    for name in re.findall(r"'(\w+)' (?:was|were) unexpected|(\w+): Extra inputs", problem):
        files = {file: text for file, text in files.items() if re.search(rf"\b{''.join(name)}['\"]?:", text)} or files
    return ", ".join(map(str, files))


def kustomize(folder: Path) -> list[dict]:
    run = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{folder} does not build: {run.stderr.strip()}")
    return [document for document in yaml.safe_load_all(run.stdout) if document]


CLOSE_S = 3  # the time after SHUTDOWN_GRACE_MS in which the service ends: CLOSE_MS in src/main.ts


def check_pod(of: str, pod: dict, settings: dict[str, str]) -> list[str]:
    """Checks that no schema expresses: the grace periods fit together, and every setting exists."""
    container = pod["containers"][0]
    settings = settings | {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    known = set(re.findall(r"^\| `(\w+)`", Path("README.md").read_text(), re.M))
    found = [f"{of}: {name} is not a setting of the service (README.md, Settings)" for name in settings if name not in known and not name.startswith("OTEL_")]
    needed = container["lifecycle"]["preStop"]["sleep"]["seconds"] + int(settings["SHUTDOWN_GRACE_MS"]) / 1000 + CLOSE_S
    if pod["terminationGracePeriodSeconds"] <= needed:
        found.append(f"{of}: terminationGracePeriodSeconds must exceed preStop's sleep plus SHUTDOWN_GRACE_MS plus {CLOSE_S} s, {needed:g} s")
    return found


found: list[str] = []
seen: list[dict] = []
ours: dict[str, dict] = {}
for folder in [*sorted(Path("k8s/overlays").iterdir()), Path("k8s/components/volume/models-pod.yaml")]:
    documents = list(yaml.safe_load_all(folder.read_text())) if folder.is_file() else kustomize(folder)
    settings = next((d["data"] for d in documents if d["kind"] == "ConfigMap"), {})
    for document in documents:
        name = f"{folder}: {document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Deployment":
            ours[folder.name] = document["spec"]["template"]["spec"]
        if document["kind"] == "InferenceService":
            ours[folder.name] = document["spec"]["predictor"]
        if document in seen:
            continue
        seen.append(document)
        problems = problems_of(document)
        found += [f"{name}: {problem} - see {written_in(document['kind'], problem)}" for problem in problems]
        misspelt = copy.deepcopy(document)
        misspelt.get("spec", misspelt)["misspelt"] = 1
        if not problems_of(misspelt):
            found.append(f"{name}: the schema is not strict: it accepts an unknown field")
    if folder.name in ours:
        found += check_pod(str(folder), ours[folder.name], settings)

# Copies must be equal to their originals.
probes = [key for key in ours["cpu"]["containers"][0] if key.endswith(("Probe", "lifecycle", "securityContext", "resources"))]
for key in probes:
    there, here = (json.dumps(ours[overlay]["containers"][0].get(key)) for overlay in ("cpu", "kserve"))
    if there.replace('"http"', "8000") != here:
        found.append(f"k8s/overlays/kserve/inference-service.yaml: {key} differs from the cpu overlay")
alerts = yaml.safe_load(Path("k8s/base/alerts.yaml").read_text())["spec"]
if alerts != yaml.safe_load(Path("docker/prometheus/rules.yml").read_text()):
    found.append("k8s/base/alerts.yaml: its groups differ from docker/prometheus/rules.yml; its first lines show how to copy them")
metrics = Path("src/metrics.ts").read_text()
for file in FILES:
    for metric in sorted(set(re.findall(r"\bddpm_inpaint_\w+", file.read_text()))):
        if f"'{re.sub('_(sum|count|bucket)$', '', metric)}'" not in metrics:
            found.append(f"{file}: {metric} is not a metric of the service (src/metrics.ts)")

if found:
    sys.exit("\n".join(found))
print(f"k8s/: {len(seen)} different objects are valid for Kubernetes {' and '.join(KUBERNETES)}")
