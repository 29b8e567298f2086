/** Redocly's recommended rules and Spectral's for OpenAPI and AsyncAPI: `node lint.mjs FILE...` prints findings, in JSON. */

import { createConfig, lintFromString } from "@redocly/openapi-core";
import spectralCore from "@stoplight/spectral-core";
import parsers from "@stoplight/spectral-parsers";
import rulesets from "@stoplight/spectral-rulesets";
import { readFileSync } from "node:fs";

const SEVERITIES = ["error", "warn", "info", "hint"];

const redocly = await createConfig({ extends: ["recommended"] });
const spectral = new spectralCore.Spectral();
spectral.setRuleset({ extends: [rulesets.oas, rulesets.asyncapi] });

const findings = {};
for (const file of process.argv.slice(2)) {
  const source = readFileSync(file, "utf-8");
  const byRedocly = await lintFromString({ source, absoluteRef: file, config: redocly });
  const bySpectral = await spectral.run(new spectralCore.Document(source, parsers.Json, file));
  findings[file] = [
    ...byRedocly.map(({ severity, ruleId, message, location }) => [severity, ruleId, message, location[0]?.pointer]),
    ...bySpectral.map(({ severity, code, message, path }) => [SEVERITIES[severity], code, message, path.join("/")]),
  ];
}
console.log(JSON.stringify(findings));
