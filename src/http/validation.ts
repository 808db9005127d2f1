import type { FastifySchemaCompiler } from 'fastify';
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import type { z } from 'zod';
import { type FieldError, Problem } from './problem.ts';

/** Validates with the routes' zod schemas, which are also the source of the types and of the documentation. */
export const zodValidator: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (data) => {
    const { success, data: value, error } = schema.safeParse(data ?? {});
    return success ? { value } : { error: error.issues.flatMap(fieldErrors) as never };
  };

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

/** Fastify's validation errors as one problem that names every field. */
export function validationProblem(errors: FastifySchemaValidationError[]): Problem {
  const fields: FieldError[] = errors.map(({ instancePath, message = 'is not valid' }) => ({
    pointer: `#${instancePath}`,
    detail: message,
  }));
  const detail = fields
    .map((field) => `${field.pointer.replace(/^#\/?/, '') || 'body'}: ${field.detail}`)
    .join('; ');
  return new Problem('invalid-request', detail, { errors: fields });
}

/** RFC 6901: ~ and / are escaped; then as a URI fragment. */
function escapePointer(key: PropertyKey): string {
  return encodeURIComponent(String(key).replaceAll('~', '~0').replaceAll('/', '~1'));
}
