#!/usr/bin/env bash
# The manifests of deploy/kubernetes and the objects that the driver sends, against the Kubernetes API's schemas (npm's
# kubernetes-models); the Role against the calls that the driver's own tests made. No cluster is needed.
# Exit 0: passed; 77: skipped, with the reason printed; else failed.
set -euo pipefail
cd "$(dirname "$0")"
build=${DORMOUSE_BUILD:-../../build/release}

if [ ! -d node_modules/kubernetes-models ] || [ ! -d node_modules/typescript ]; then
  npm install --no-save --no-audit --no-fund --loglevel=error --ignore-scripts >npm.log 2>&1 || { tail -20 npm.log; exit 1; }
fi
record=$(mktemp -d)
trap 'rm -rf "$record" strict.ts' EXIT
DORMOUSE_KUBERNETES_RECORD=$record "$build/src/fleet/fleet_kubernetes_test" >"$record/log" 2>&1 ||
  { tail -40 "$record/log"; exit 1; }
node validate.mjs ../../deploy/kubernetes "$record"
# An object literal with a field that its type does not have is an error of TypeScript's; the schemas let it pass.
node_modules/.bin/tsc --noEmit --strict --skipLibCheck --module nodenext --moduleResolution nodenext strict.ts
# What kustomize makes of it, where kubectl is.
if command -v kubectl >/dev/null; then
  kubectl kustomize ../../deploy/kubernetes >/dev/null
  kubectl kustomize ../../deploy/kubernetes/monitoring >/dev/null
else
  echo "not checked: kustomize's own reading of the manifests (no kubectl here)"
fi
