import type { FastifyBaseLogger, FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import type { Metrics } from '../../metrics.ts';
import type { ModelRegistry } from '../../registry/registry.ts';
import { domainProblem, PROBLEMS, Problem, RETRY_AFTER_S, type Slug } from '../problem.ts';
import { validationProblem } from '../validation.ts';

/** What Fastify and its plugins throw by themselves, as problems of ours. */
const FASTIFY_PROBLEMS: Record<string, [Slug, detail: string]> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['unsupported-media-type', 'send multipart/form-data or application/json'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['invalid-request', 'the body is empty; it must be JSON'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['invalid-request', 'the body is not valid JSON'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['invalid-request', 'the body is not as long as content-length says'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['upload-too-large', 'the body is larger than this service accepts'],
  FST_ERR_VALIDATION: ['invalid-request', 'the request is not valid'],
  FST_ERR_BAD_URL: ['invalid-request', 'the path is not valid'],
  FST_ERR_MAX_PARAM_LENGTH: ['not-found', 'there is nothing with so long a name'],
};

interface Options {
  metrics: Metrics;
  registry: ModelRegistry;
}

/** Every error is answered as application/problem+json; what nobody foresaw is logged and tells nothing of the inside. */
export default fp(function errors(app: FastifyInstance, { metrics, registry }: Options, done: () => void) {
  for (const reason of Object.keys(PROBLEMS)) metrics.failures.inc({ reason }, 0); // the first of a kind is an increase too
  app.setErrorHandler((error, request, reply) => {
    if (reply.raw.destroyed) return void reply.hijack(); // the client went away: nobody to answer, nothing to mend
    const problem = toProblem(error, request.log);
    if (problem.slug !== 'engine-failure' || registry.ready) return send(problem, request, reply);
    const why = registry.notReadyReason ?? 'not ready';
    return send(new Problem('not-ready', why, { retryAfterS: RETRY_AFTER_S }), request, reply);
  });
  const routes: { method: string; pattern: RegExp }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    if (url === '*') return; // what the CORS plugin answers preflights with
    const pattern = new RegExp(`^${url.replace(/:\w+/g, '[^/]+').replaceAll('*', '.*')}$`);
    for (const each of [method].flat()) routes.push({ method: each, pattern });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0];
    const known = [...new Set(routes.flatMap(({ method, pattern }) => (pattern.test(path) ? method : [])))];
    if (known.length === 0)
      return send(new Problem('not-found', `there is no ${path}; see /docs`), request, reply);
    reply.header('allow', known.join(', '));
    return send(new Problem('method-not-allowed', `${path} takes ${known.join(', ')}`), request, reply);
  });
  done();

  function send(problem: Problem, request: FastifyRequest, reply: FastifyReply) {
    metrics.failures.inc({ reason: problem.slug });
    request.about.problem = problem.slug;
    if (problem.retryAfterS !== undefined) reply.header('retry-after', problem.retryAfterS);
    // Fastify would close the connection on a body it has refused: what the client is still sending would then be
    // answered with a reset, which can overtake this answer. uploads.ts reads it and puts an end to it.
    if (reply.hasHeader('connection')) reply.removeHeader('connection');
    return reply
      .code(problem.status)
      .type('application/problem+json')
      .serializer(JSON.stringify)
      .send(problem.toJSON(request.url.split('?')[0]));
  }
});

/** What a client is told of an error; what is our fault is logged, with the request's id in its line. */
export function toProblem(thrown: unknown, log: FastifyBaseLogger): Problem {
  const known = domainProblem(thrown);
  if (known) {
    // Probes hear "not ready" while a model loads and while the service ends: expected, and counted as a failure anyway.
    if (known.status >= 500 && known.slug !== 'not-ready') log.error({ err: thrown }, known.slug);
    return known;
  }
  const error = thrown as Partial<FastifyError>;
  if (error.validation) return validationProblem(error.validation);
  const mapped = FASTIFY_PROBLEMS[error.code ?? ''];
  if (mapped) return new Problem(...mapped);
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500) {
    return new Problem('invalid-request', error.message ?? 'the request is not valid');
  }
  log.error({ err: thrown }, 'unexpected error');
  return new Problem('internal-error', 'quote the x-request-id of this answer when you report it');
}
