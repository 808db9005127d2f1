import type { SwaggerTransform, SwaggerTransformObject } from '@fastify/swagger';
import { z } from 'zod';
import { needsKey } from './plugins/keys.ts';
import { PROBLEMS, type Slug } from './problem.ts';
import { requestExamples, requestSchemas, responseSchemas } from './schemas/named.ts';
import { problem } from './schemas/responses.ts';

type JsonSchema = Record<string, unknown>;
/** A service without API_KEYS needs no key, so the empty requirement is listed too. */
const optionalKey = () => [{}, { bearer: [] }, { header: [] }];
const uri = (id: string) => `#/components/schemas/${id}`;

/** The service's address relative to the document's own, /openapi.json: it is right behind any proxy. */
export const HERE = '.';

/** Converts a route's zod schemas for the document: references to the named ones, JSON Schema for the rest. */
export const transform: SwaggerTransform = ({ schema, url }) => {
  if (!schema || schema.hide) return { schema: { hide: true }, url };
  const { body, response, params, querystring, headers, ...rest } = schema as Record<string, unknown>;
  const transformed: Record<string, unknown> = { ...rest };
  if (needsKey(url)) transformed.security = optionalKey();
  if (params) transformed.params = jsonSchema(params, 'input');
  if (querystring) transformed.querystring = jsonSchema(querystring, 'input');
  if (headers) transformed.headers = jsonSchema(headers, 'input');
  if (body) transformed.body = content(body, 'input');
  if (response) {
    transformed.response = Object.fromEntries(
      Object.entries(response).map(([status, of]) => [status, content(of, 'output')]),
    );
  }
  return { schema: transformed as never, url };
};

/** Adds the named schemas, and an example to each body that has one. */
export const transformObject: SwaggerTransformObject = (document) => {
  if (!('openapiObject' in document)) throw new Error('this is an OpenAPI 3 service');
  const { openapiObject } = document;
  const schemas = { ...components(requestSchemas, 'input'), ...components(responseSchemas, 'output') };
  addExamples(openapiObject.paths ?? {});
  const servers = [{ url: HERE, description: 'This service' }];
  return {
    ...openapiObject,
    servers,
    components: { ...openapiObject.components, schemas },
  } as typeof openapiObject;
};

interface Operation {
  requestBody?: { content?: Record<string, { schema?: { $ref?: string }; example?: object }> };
}

function addExamples(paths: object): void {
  const examples = new Map([...requestExamples].map(([id, example]) => [uri(id), example]));
  for (const path of Object.values(paths)) {
    for (const { requestBody } of Object.values(path as Record<string, Operation>)) {
      for (const media of Object.values(requestBody?.content ?? {})) {
        const example = examples.get(media.schema?.$ref ?? '');
        if (example) media.example = example;
      }
    }
  }
}

/** Responses for the problems that an operation can answer, grouped by status. */
export function problems(...slugs: Slug[]): Record<number, unknown> {
  const byStatus = new Map<number, Slug[]>();
  for (const slug of slugs) {
    const [status] = PROBLEMS[slug];
    byStatus.set(status, [...(byStatus.get(status) ?? []), slug]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, slugs]) => [
      status,
      {
        description: slugs.map((slug) => `\`${slug}\`: ${PROBLEMS[slug][1].toLowerCase()}`).join('; '),
        content: { 'application/problem+json': { schema: problem } },
      },
    ]),
  );
}

/** The same for operations under /v1, which need a key and are rate-limited. */
export const apiProblems = (...slugs: Slug[]) => problems('unauthorized', ...slugs, 'rate-limited');

/** A response body: the bytes of a picture. */
export const binary = z.custom<Buffer>().meta({ type: 'string', format: 'binary' });
/** Response content: one picture in any of the output formats. */
export const pictureContent = {
  'image/png': { schema: binary },
  'image/jpeg': { schema: binary },
  'image/webp': { schema: binary },
};
/** A response body: server-sent events. */
export const events = z.string().meta({
  description:
    'Server-sent events. `queued`: position. `progress`, in the order of the steps: step, of, eta_ms, and every ' +
    'preview_every steps a preview (a data: URL) with its box in the picture. At the end `result` (the JSON answer) or ' +
    '`error` (a Problem). A comment every 15 s keeps proxies from closing the connection.',
});
/** A response body: text. */
export const text = z.string();

function content(of: unknown, io: 'input' | 'output'): unknown {
  if (of instanceof z.ZodType) return jsonSchema(of, io);
  const { content: types, ...rest } = of as { content?: Record<string, { schema: z.ZodType }> };
  if (!types) return { ...rest, type: 'null' }; // an answer without a body
  return {
    ...rest,
    content: Object.fromEntries(
      Object.entries(types).map(([type, { schema, ...rest }]) => [
        type,
        { ...rest, schema: jsonSchema(schema, io) },
      ]),
    ),
  };
}

function jsonSchema(schema: unknown, io: 'input' | 'output'): JsonSchema {
  const registry = io === 'input' ? requestSchemas : responseSchemas;
  const id = registry.get(schema as z.ZodType)?.id;
  if (id) return { $ref: uri(id) };
  return clean(z.toJSONSchema(schema as z.ZodType, { io, unrepresentable: 'any' }));
}

function components(registry: typeof requestSchemas, io: 'input' | 'output'): Record<string, JsonSchema> {
  const { schemas } = z.toJSONSchema(registry, { io, uri, unrepresentable: 'any' });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, clean(schema as JsonSchema)]));
}

function clean({ $schema, $id, id, ...schema }: JsonSchema): JsonSchema {
  return withoutSafeBounds(schema) as JsonSchema;
}

/** Zod bounds every integer by what a double can count. Such a bound says nothing, and Swagger UI shows it as an example. */
function withoutSafeBounds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSafeBounds);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(
    ([key, bound]) =>
      !(key === 'minimum' && bound === Number.MIN_SAFE_INTEGER) &&
      !(key === 'maximum' && bound === Number.MAX_SAFE_INTEGER),
  );
  return Object.fromEntries(kept.map(([key, each]) => [key, withoutSafeBounds(each)]));
}
