// Makes the JSON Schemas beside it from the types of Grafana's package @grafana/schema (Apache-2.0):
//
//   cd "$(mktemp -d)" && npm init -y && npm install @grafana/schema@13.2.0 ts-json-schema-generator@2.4.0 typescript@5.9
//   cp …/tests/grafana-schema/generate.mjs . && node generate.mjs …/tests/grafana-schema
//
// The version is that of the image in docker-compose.yml. What is changed, because the types are stricter or laxer than
// the files that Grafana reads: no key must be there, none may be that the types do not know, but for those added below.
import { createGenerator } from 'ts-json-schema-generator';
import { readFileSync, writeFileSync } from 'node:fs';

const PACKAGE = 'node_modules/@grafana/schema';
const PANELS = {
  barchart: 'barchart', bargauge: 'bargauge', dashlist: 'dashboardlist', gauge: 'gauge', stat: 'stat',
  'state-timeline': 'statetimeline', 'status-history': 'statushistory', table: 'table', timeseries: 'timeseries',
};

writeFileSync('tsconfig.json', JSON.stringify({
  compilerOptions: { target: 'es2022', module: 'esnext', moduleResolution: 'bundler', skipLibCheck: true, strict: true },
  include: [`${PACKAGE}/dist/types/**/*.d.ts`],
}));

function schema(file, type) {
  const text = readFileSync(`${PACKAGE}/dist/types/raw/${file}`, 'utf8');
  if (!new RegExp(`export (interface|type) ${type}\\b`).test(text)) return null;
  const generator = createGenerator({
    path: `${PACKAGE}/dist/types/raw/${file}`, tsconfig: 'tsconfig.json', type,
    additionalProperties: false, jsDoc: 'none', skipTypeCheck: true,
  });
  return trimmed(generator.createSchema(type));
}

function trimmed(value) {
  if (Array.isArray(value)) return value.map(trimmed);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([key, inner]) => key !== '$schema' && !(key === 'required' && Array.isArray(inner)));
  return Object.fromEntries(kept.map(([key, inner]) => [key, trimmed(inner)]));
}

const out = process.argv[2];
const { version, license } = JSON.parse(readFileSync(`${PACKAGE}/package.json`, 'utf8'));
const source = `@grafana/schema ${version}, ${license}`;
const write = (name, schemas) => writeFileSync(`${out}/${name}.json`, `${JSON.stringify({ source, ...schemas })}\n`);

const dashboard = schema('dashboard/x/types.gen.d.ts', 'Dashboard');
const definitions = dashboard.definitions;
// Grafana writes and reads these; its types lack them.
definitions.VariableModel.properties.definition = { type: 'string' };
Object.assign(definitions.AnnotationTarget.properties, {
  refId: { type: 'string' }, format: { type: 'string' }, rawSql: { type: 'string' }, rawQuery: { type: 'boolean' },
  editorMode: { type: 'string' }, datasource: { $ref: '#/definitions/DataSourceRef' },
});
definitions.FieldConfig.properties.fieldMinMax ??= { type: 'boolean' };
write('dashboard', { dashboard });

for (const [name, folder] of Object.entries(PANELS)) {
  const file = `composable/${folder}/panelcfg/x/types.gen.d.ts`;
  const schemas = { options: schema(file, 'Options'), custom: schema(file, 'FieldConfig') };
  if (name === 'state-timeline') {
    // "Connect null values" and "Disconnect values" of its editor.
    const oneOf = { anyOf: [{ type: 'boolean' }, { type: 'number' }] };
    Object.assign(schemas.custom.definitions.FieldConfig.properties, { spanNulls: oneOf, insertNulls: oneOf });
  }
  write(name, schemas);
}
