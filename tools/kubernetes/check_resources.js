// Holds custom resources of Kubernetes against the schemas of their makers, by the packages of @kubernetes-models.
//
// Reads a JSON list of objects from standard input, and writes a JSON list with the errors of each, none for a good one.
// TypeScript finds unknown fields and wrong types; the schemas find values that are out of their range or pattern.

import { existsSync, readFileSync } from "node:fs";
import ts from "typescript";

const PACKAGES = {
  "cert-manager.io": "cert-manager",
  "gateway.networking.k8s.io": "gateway-api",
  "keda.sh": "keda",
  "monitoring.coreos.com": "prometheus-operator",
};
const objects = JSON.parse(readFileSync(0, "utf8"));
const errors = objects.map(() => []);
const sources = {};

function moduleOf({ apiVersion, kind }) {
  const name = `@kubernetes-models/${PACKAGES[String(apiVersion).split("/")[0]]}/${apiVersion}/${kind}`;
  return existsSync(`${import.meta.dirname}/node_modules/${name}.js`) ? name : undefined;
}

for (const [index, object] of objects.entries()) {
  const name = moduleOf(object);
  if (!name) {
    errors[index].push(`${object.apiVersion} ${object.kind} is unknown`);
    continue;
  }
  const kind = object.kind;
  sources[`${import.meta.dirname}/object-${index}.ts`] =
    `import type { I${kind} } from "${name}";\nexport const object: I${kind} = ${JSON.stringify(object, null, 1)};\n`;
  try {
    new (await import(name))[kind](object).validate();
  } catch (error) {
    errors[index].push(error.message);
  }
}

const options = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
};
const host = ts.createCompilerHost(options);
const readSource = host.getSourceFile;
const exists = host.fileExists;
host.fileExists = (path) => path in sources || exists(path);
host.getSourceFile = (path, language) =>
  path in sources ? ts.createSourceFile(path, sources[path], language) : readSource(path, language);
const program = ts.createProgram(Object.keys(sources), options, host);
for (const found of ts.getPreEmitDiagnostics(program)) {
  const index = /object-(\d+)\.ts$/.exec(found.file?.fileName ?? "")?.[1];
  const text = ts.flattenDiagnosticMessageText(found.messageText, " ");
  if (index === undefined) throw new Error(text);
  errors[index].push(text);
}
process.stdout.write(JSON.stringify(errors));
