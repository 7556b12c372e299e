// node validate.mjs MANIFESTS RECORD: see run.sh. RECORD/verbs and RECORD/objects are what fake_kubernetes.cc saw.
// Writes strict.ts beside itself: all objects as typed literals.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import * as yaml from "js-yaml";
import * as apps from "kubernetes-models/apps/v1";
import * as core from "kubernetes-models/v1";
import * as networking from "kubernetes-models/networking.k8s.io/v1";
import * as rbac from "kubernetes-models/rbac.authorization.k8s.io/v1";
import * as monitoring from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

const [manifests, record] = process.argv.slice(2);
const modules = {
  "v1": [core, "kubernetes-models/v1"],
  "apps/v1": [apps, "kubernetes-models/apps/v1"],
  "networking.k8s.io/v1": [networking, "kubernetes-models/networking.k8s.io/v1"],
  "rbac.authorization.k8s.io/v1": [rbac, "kubernetes-models/rbac.authorization.k8s.io/v1"],
  "monitoring.coreos.com/v1": [monitoring, "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"],
};

// Every file that a kustomization names, and every file that lies there is named.
function objectsOf(folder) {
  const kustomization = yaml.load(fs.readFileSync(path.join(folder, "kustomization.yaml"), "utf8"));
  const generated = (kustomization.configMapGenerator ?? []).flatMap((map) => map.files);
  const named = ["kustomization.yaml", ...kustomization.resources, ...generated].sort();
  const there = fs.readdirSync(folder).filter((name) => fs.statSync(path.join(folder, name)).isFile()).sort();
  assert.deepEqual(there, named, `${folder}: files and kustomization.yaml differ`);
  return kustomization.resources.flatMap((name) => yaml.loadAll(fs.readFileSync(path.join(folder, name), "utf8")));
}

const objects = [...objectsOf(manifests), ...objectsOf(path.join(manifests, "monitoring"))];
const sent = fs.readFileSync(path.join(record, "objects"), "utf8").trim().split("\n").map((line) => JSON.parse(line));
assert.ok(objects.length >= 11 && sent.length >= 20, "fewer objects than there must be: the check looks at the wrong place");

const literals = [];
for (const object of [...objects, ...sent]) {
  const [module, from] = modules[object.apiVersion] ?? [];
  const what = `${object.apiVersion} ${object.kind} ${object.metadata?.name}`;
  assert.ok(module?.[object.kind], `${what}: no such kind`);
  try {
    new module[object.kind](object).validate();
  } catch (error) {
    assert.fail(`${what}: ${error.message}`);
  }
  literals.push(`import type { I${object.kind} as T${literals.length} } from "${from}";\n` +
    `export const object${literals.length}: T${literals.length} = ${JSON.stringify(object)};\n`);
}
fs.writeFileSync("strict.ts", literals.join(""));

// The Role allows what was called, and nothing that was not.
const role = objects.find((object) => object.kind === "Role");
const allowed = role.rules.flatMap((rule) => rule.resources.flatMap((one) => rule.verbs.map((verb) => `${verb} ${one}`)));
const called = new Set(fs.readFileSync(path.join(record, "verbs"), "utf8").trim().split("\n"));
assert.deepEqual([...new Set(allowed)].sort(), [...called].sort(), "the Role and the calls differ");

// What selects each other by name or label.
const one = (kind, name) => objects.find((object) => object.kind === kind && object.metadata.name === name);
const gateway = one("StatefulSet", "dormouse");
const labels = gateway.spec.template.metadata.labels;
const selects = (selector) => Object.entries(selector).every(([key, value]) => labels[key] === value);
assert.ok(selects(gateway.spec.selector.matchLabels) && selects(one("NetworkPolicy", "dormouse-gateway").spec.podSelector.matchLabels));
const ports = gateway.spec.template.spec.containers.flatMap((container) => container.ports.map((port) => port.name));
for (const service of objects.filter((object) => object.kind === "Service")) {
  assert.ok(selects(service.spec.selector), `${service.metadata.name} selects the gateway`);
  for (const port of service.spec.ports) assert.ok(ports.includes(port.targetPort), `${service.metadata.name}: ${port.targetPort}`);
}
const pods = sent.filter((object) => object.kind === "Pod");
const policy = one("NetworkPolicy", "dormouse-workers").spec;
for (const pod of pods) {
  for (const [key, value] of Object.entries(policy.podSelector.matchLabels)) assert.equal(pod.metadata.labels[key], value);
  assert.ok(!pod.spec.containers.some((container) => container.env.some((entry) => entry.value !== undefined)), "no secret in a Pod");
}
const claims = gateway.spec.template.spec.volumes.flatMap((volume) => volume.persistentVolumeClaim?.claimName ?? []);
const config = fs.readFileSync(path.join(manifests, "dormouse.toml"), "utf8");
for (const claim of claims) assert.ok(one("PersistentVolumeClaim", claim) && config.includes(`model_claim = "${claim}"`));
assert.ok(config.includes(`owned_by = "statefulset/${gateway.metadata.name}"`));
assert.equal(role.rules.find((rule) => rule.resources.includes("statefulsets")).resourceNames[0], gateway.metadata.name);
console.log(`${objects.length} manifests and ${sent.length} objects of the driver are sound; ${called.size} calls, all allowed, no more`);
