import type { FastifySchemaCompiler } from 'fastify';
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { z } from 'zod';
import { type FieldError, MAX_ERRORS, Problem } from './problem.ts';

/** What means "not given" in each part of a request that may have fields without a value. */
const ABSENT: Record<string, null | ''> = { body: null, querystring: '' };

/** Validates with the routes' zod schemas, which are also the source of the types and of the documentation. */
export const zodValidator: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data) => {
    const given = httpPart && httpPart in ABSENT ? withoutAbsent(schema, data, ABSENT[httpPart]) : data;
    const { success, data: value, error } = schema.safeParse(given ?? {}, { error: typeMessage });
    return success ? { value } : { error: error.issues.flatMap(fieldErrors) as never };
  };

/** Zod's own text would name a class of JavaScript, or the NaN that was made of a text. Undefined: Zod's own text. */
function typeMessage({ code, input, expected }: z.core.$ZodRawIssue): string | undefined {
  if (code !== 'invalid_type') return undefined;
  if (Buffer.isBuffer(input)) return `must be a ${expected}, not a file`;
  return Number.isNaN(input) ? 'must be one number' : undefined;
}

/**
 * Drops fields of the schema that are there but mean "not given": null in JSON, and an empty text in a query. Forms have
 * dropped theirs already (plugins/multipart.ts). An empty text in JSON is a value, and so is an empty part of a path.
 */
function withoutAbsent(schema: z.ZodType, data: unknown, absent: null | ''): unknown {
  if (!(schema instanceof z.ZodObject) || typeof data !== 'object' || data === null) return data;
  const given = ([name, value]: [string, unknown]) => value !== absent || !Object.hasOwn(schema.shape, name);
  return Array.isArray(data) ? data : Object.fromEntries(Object.entries(data).filter(given));
}

function fieldErrors(issue: z.core.$ZodIssue) {
  const at = (path: PropertyKey[]) => `/${path.map(escapePointer).join('/')}`;
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      instancePath: at([...issue.path, key]),
      message: 'unknown field',
    }));
  }
  return [{ instancePath: issue.path.length > 0 ? at(issue.path) : '', message: issue.message }];
}

/** Validates what a route has read by itself, as Fastify would. Returns what the schema makes of it; throws Problem. */
export function validated<T extends z.ZodType>(schema: T, data: unknown): z.output<T> {
  const validate = zodValidator({ schema, httpPart: 'body', method: '', url: '' });
  const result = validate(data) as { value: z.output<T> } | { error: FastifySchemaValidationError[] };
  if ('error' in result) throw validationProblem(result.error);
  return result.value;
}

/** Fastify's validation errors as one problem that names the fields: the first MAX_ERRORS. */
export function validationProblem(errors: FastifySchemaValidationError[]): Problem {
  const more = errors.length - MAX_ERRORS;
  const fields: FieldError[] = errors
    .slice(0, MAX_ERRORS)
    .map(({ instancePath, message = 'is not valid' }) => ({
      pointer: `#${instancePath}`,
      detail: message,
    }));
  const detail = fields
    .map((field) => `${decodeURIComponent(field.pointer).replace(/^#\/?/, '') || 'body'}: ${field.detail}`)
    .join('; ');
  const rest = more > 0 ? `; and ${more} more` : '';
  return new Problem('invalid-request', `${detail}${rest}`, { errors: fields });
}

/** Characters of a key that an answer repeats. */
const MAX_KEY = 100;

/** RFC 6901: ~ and / are escaped; then as a URI fragment. */
function escapePointer(key: PropertyKey): string {
  const text = Buffer.from(String(key).slice(0, MAX_KEY)).toString(); // without lone surrogates, which cannot be encoded
  return encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1'));
}
