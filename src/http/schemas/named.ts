import { z } from 'zod';

/** Schemas that are named components of the OpenAPI document: those of requests, and those of responses. */
export const requestSchemas = z.registry<{ id: string }>();
export const responseSchemas = z.registry<{ id: string }>();

/** Example bodies, by the ids of their schemas. */
export const requestExamples = new Map<string, object>();

/** `example`: a body that the documentation shows, and that can be sent as it is. */
export function request<T extends z.ZodType>(id: string, schema: T, example?: object): T {
  requestSchemas.add(schema, { id });
  if (example) requestExamples.set(id, example);
  return schema;
}

export function response<T extends z.ZodType>(id: string, schema: T): T {
  responseSchemas.add(schema, { id });
  return schema;
}
