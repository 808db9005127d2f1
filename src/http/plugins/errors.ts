import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { errorAnswer } from '../compat/errors.ts';
import type { Dependencies } from '../dependencies.ts';
import { notReady, PROBLEMS, Problem } from '../problem.ts';
import { toProblem } from '../to-problem.ts';

/** Every error is answered as application/problem+json, or as the clients of its path expect. An unexpected one is logged; its answer reveals no internals. */
export default fp(function errors(
  app: FastifyInstance,
  { config, metrics, registry }: Dependencies,
  done: () => void,
) {
  for (const reason of Object.keys(PROBLEMS)) {
    // So that the first failure of a kind is an increase.
    metrics.failures.inc({ reason }, 0);
    metrics.jobsFailed.inc({ reason }, 0);
  }
  app.setErrorHandler((error, request, reply) => {
    if (reply.raw.destroyed) return void reply.hijack(); // the client disconnected: there is nobody to answer
    const problem = toProblem(error, request.log);
    // While no worker is alive the status is 503, so that a load balancer tries another replica.
    const why = problem.slug === 'engine-failure' ? registry.notReadyReason : undefined;
    return send(why === undefined ? problem : notReady(why), request, reply);
  });
  const routes: { method: string; pattern: RegExp }[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    if (url === '*') return; // the CORS plugin's route for preflight requests
    const literal = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&'); // the path of a file may have any of these
    const pattern = new RegExp(`^${literal.replace(/:\w+/g, '[^/]+').replaceAll('*', '.*')}$`);
    for (const each of [method].flat()) routes.push({ method: each, pattern });
  });
  // Before the body is read: whether and how it could be is no matter for a path or a method that does not exist.
  app.addHook('preParsing', async (request, reply) => {
    if (request.is404) throw nowhere(request, reply);
  });
  app.setNotFoundHandler((request, reply) => send(nowhere(request, reply), request, reply));
  done();

  function nowhere(request: FastifyRequest, reply: FastifyReply): Problem {
    const path = request.url.split('?')[0];
    const methods = routes.flatMap(({ method, pattern }) => (pattern.test(path) ? method : []));
    // Of some routes, such as /docs/, Fastify announces HEAD alone.
    const known = [...new Set(methods.includes('HEAD') ? [...methods, 'GET'] : methods)];
    const documents = config.DOCS ? `; see ${request.pathPrefix}/docs` : '';
    if (known.length === 0) return new Problem('not-found', `there is no ${path}${documents}`);
    reply.header('allow', known.join(', '));
    return new Problem('method-not-allowed', `${path} supports ${known.join(', ')}`);
  }

  function send(problem: Problem, request: FastifyRequest, reply: FastifyReply) {
    metrics.failures.inc({ reason: problem.slug });
    request.logFields.problem = problem.slug;
    if (problem.retryAfterS !== undefined) reply.header('retry-after', problem.retryAfterS);
    // Fastify would close the connection after refusing a body. A client that is still sending would then get a TCP reset,
    // which can overtake this answer. bodies.ts reads and discards the rest instead.
    if (reply.hasHeader('connection')) reply.removeHeader('connection');
    const { status, type, body } = errorAnswer(problem, request);
    return reply.code(status).type(type).serializer(JSON.stringify).send(body);
  }
});
