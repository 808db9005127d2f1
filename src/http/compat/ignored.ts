import type { FastifyReply } from 'fastify';

/** Names that the header repeats, and characters of each. In forms, lists are a[] and objects a[b]. */
const MAX_NAMES = 50;
const NAME = /^[\w.-]{1,64}(\[[\w.-]{0,64}\]){0,3}$/;

/** The header, in the OpenAPI document. */
export const ignoredHeader = {
  'x-ignored-parameters': {
    type: 'string',
    description: `Names of the parameters that have no effect: the first ${MAX_NAMES}`,
  },
};

/**
 * Names the parameters of a request that have no effect, in the header x-ignored-parameters. Names that no client would
 * have are left out.
 *
 * @param body as it was sent; absent values do not count
 * @param known names of the parameters that have an effect
 */
export function nameIgnored(reply: FastifyReply, body: object, known: ReadonlySet<string>): void {
  const ignored = Object.entries(body).flatMap(([name, value]) =>
    known.has(name) || value === undefined || value === null || !NAME.test(name) ? [] : name,
  );
  if (ignored.length > 0) reply.header('x-ignored-parameters', ignored.slice(0, MAX_NAMES).join(', '));
}
