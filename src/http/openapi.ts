import type { SwaggerTransform, SwaggerTransformObject } from '@fastify/swagger';
import { z } from 'zod';
import { isApi, needsKey } from './plugins/keys.ts';
import { PROBLEMS, type Slug } from './problem.ts';
import { requestExamples, requestSchemas, responseSchemas } from './schemas/named.ts';
import { problem } from './schemas/responses.ts';

type JsonSchema = Record<string, unknown>;
/** A service without API_KEYS needs no key, so the empty requirement is listed too. */
const optionalKey = () => [{}, { bearer: [] }, { header: [] }];
const uri = (id: string) => `#/components/schemas/${id}`;

/** The service's address relative to the document's own, /openapi.json: it is right behind any proxy. */
export const HERE = '.';

/** The document's servers: this one, at an address. */
export const serversAt = (url: string) => [{ url, description: 'This service' }];

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
      Object.entries(response).map(([status, of]) => {
        const { headers, ...rest } = content(of, 'output') as { headers?: object };
        return [status, { ...rest, headers: { ...headers, ...commonHeaders(Number(status), url) } }];
      }),
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
  return {
    ...openapiObject,
    servers: serversAt(HERE),
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

export type Headers = Record<string, JsonSchema>;

const MAX_INT32 = 2 ** 31 - 1;
const line = (description: string) => ({ type: 'string', description });
const whole = (minimum: number, description: string) => ({
  type: 'integer',
  minimum,
  maximum: MAX_INT32,
  description,
});

/** Headers of answers that depend on a model and a seed. */
export const modelHeaders: Headers = {
  'x-seed': {
    ...whole(0, 'Seed of the pictures. Send it again to get the same pictures'),
    maximum: 2 ** 32 - 1,
    format: 'int64',
  },
  'x-model': line('The model, as id@version'),
};

/** Headers of every answer with generated pictures. */
export const generatedHeaders: Headers = {
  ...modelHeaders,
  'x-steps': whole(1, 'Steps of the sampler'),
  'x-precision': line('Number format of the evaluations: fp32 or int8. Not in streams'),
};

/** Those of /v1/inpaint and /v1/sample. */
export const pictureHeaders: Headers = {
  ...generatedHeaders,
  'server-timing': line('Milliseconds of each part of the work. Not in streams'),
};

const RATE_LIMITS: Headers = {
  'ratelimit-limit': whole(0, 'With a rate limit: requests in each period'),
  'ratelimit-remaining': whole(0, 'Requests that are left in this period'),
  'ratelimit-reset': whole(0, 'Seconds until the next period'),
};

/** Headers that answers have whatever the operation. */
function commonHeaders(status: number, url: string): Headers {
  return {
    'x-request-id': line("The client's own, or a new one; it is in the service's log"),
    ...(isApi(url) && (status < 300 || status === 429) && RATE_LIMITS),
    ...((status === 429 || status === 503) && {
      'retry-after': whole(1, 'Seconds after which to try again'),
    }),
    ...(status === 401 && {
      'www-authenticate': line('Bearer, and what is wrong with the key that was sent'),
    }),
  };
}

/** The status of a problem, unless its client's API has another one. */
const usual = (slug: Slug): number => PROBLEMS[slug][0];

/** Responses for the problems that an operation can answer, grouped by status. */
export function problems(slugs: readonly Slug[], statusOf = usual): Record<number, unknown> {
  const byStatus = new Map<number, Slug[]>();
  for (const slug of slugs) {
    const status = statusOf(slug);
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

/** Problems of any operation that needs a key and is rate-limited: those under /v1. */
export const ofApi = (...slugs: Slug[]): Slug[] => ['unauthorized', ...slugs, 'rate-limited'];
export const apiProblems = (...slugs: Slug[]) => problems(ofApi(...slugs));

/** A response with a body of JSON. */
export const json = (description: string, schema: z.ZodType) => ({
  description,
  content: { 'application/json': { schema } },
});

/** Responses of these statuses with an error in the shape of another service's API. */
export const refusals = (schema: z.ZodType, statuses: number[]): Record<number, unknown> =>
  Object.fromEntries(statuses.map((status) => [status, json('Error, in the format of this API', schema)]));

/** A response body: the bytes of a picture. */
export const binary = z.custom<Buffer>().meta({ type: 'string', format: 'binary' });
/** Response content: one picture in any of the output formats. */
export const pictureContent = {
  'image/png': { schema: binary },
  'image/jpeg': { schema: binary },
  'image/webp': { schema: binary },
};
const eventsWith = (result: string) =>
  z.string().meta({
    description:
      'Server-sent events. A comment every 15 s keeps proxies from closing the connection.\n\n' +
      '- `queued`: the request waits. `position`: number of images, or for a job number of jobs, before it.\n' +
      '- `progress`: after each evaluation of the network. `step` and `of`: evaluations done and in all, of all windows and ' +
      'candidates together; `eta_ms`: estimated milliseconds until the end; `timestep`: that of the last complete step of the ' +
      'first candidate; `abar`: share of the signal in x_t at this timestep.\n' +
      '- `progress` with a preview, after every `preview_every` evaluations: also `preview`, a data: URL; `box`, the part of the ' +
      'picture that it shows; and with `preview_noisy` `noisy`, the x_t that it was estimated from.\n' +
      `- \`result\`: ${result}. It is the last event.\n` +
      '- `error`: a Problem. It is the last event.\n' +
      '- `cancelled`: a job was cancelled. The data is an empty object. It is the last event.',
  });
/** A response body: server-sent events. */
export const events = eventsWith('the JSON answer');
/** A response body: the server-sent events of a job. */
export const jobEvents = eventsWith(
  'the JSON answer without `images`, which are at /v1/jobs/{id}/images/{n}',
);
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

/** Options of the conversion. Generators of clients use 32 bits for an integer unless its format says otherwise. */
const conversion = {
  unrepresentable: 'any',
  override: ({ jsonSchema }: { jsonSchema: JsonSchema }) => {
    const { additionalProperties: others } = jsonSchema;
    // Any others are allowed when this is absent, too; generators understand that better.
    if (jsonSchema.properties && others && Object.keys(others).length === 0)
      delete jsonSchema.additionalProperties;
    const items = jsonSchema.items as JsonSchema | undefined;
    if (items?.format === 'binary' && jsonSchema.maxItems === 1) oneFile(jsonSchema);
    if (Number.isInteger(jsonSchema.const)) jsonSchema.type = 'integer'; // zod's literals are numbers
    if (jsonSchema.type !== 'integer') return;
    // Zod bounds every integer by what a double can count. Such a bound says nothing, and Swagger UI shows it as an example.
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    const largest = jsonSchema.const ?? jsonSchema.maximum;
    if (((largest as number | undefined) ?? Number.POSITIVE_INFINITY) > MAX_INT32)
      jsonSchema.format = 'int64';
  },
} as const;

/** A list of at most one file looks like a file in a form, and Swagger UI has no field for a list of files. */
function oneFile(list: JsonSchema) {
  const { items, minItems, maxItems, ...others } = list;
  for (const key of Object.keys(list)) delete list[key];
  Object.assign(list, items, others, { type: 'string' });
}

function jsonSchema(schema: unknown, io: 'input' | 'output'): JsonSchema {
  const registry = io === 'input' ? requestSchemas : responseSchemas;
  const id = registry.get(schema as z.ZodType)?.id;
  return id ? { $ref: uri(id) } : clean(z.toJSONSchema(schema as z.ZodType, { io, ...conversion }));
}

function components(registry: typeof requestSchemas, io: 'input' | 'output'): Record<string, JsonSchema> {
  const { schemas } = z.toJSONSchema(registry, { io, uri, ...conversion });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, clean(schema as JsonSchema)]));
}

function clean({ $schema, $id, id, ...schema }: JsonSchema): JsonSchema {
  return schema;
}
