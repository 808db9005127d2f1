import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/read.ts';
import { CONCURRENCY } from '../../src/jobs/job.ts';
import { createMetrics, type Metrics } from '../../src/metrics.ts';
import { promote, servingFileIn } from '../../src/registry/promotions.ts';
import { FolderRegistry } from '../../src/registry/registry.ts';
import { ModelDir } from '../helpers/model-dir.ts';

const STEPS = 3;
const RELOADS = 2;

let models: ModelDir;
let registry: FolderRegistry;
let metrics: Metrics;
let app: Awaited<ReturnType<typeof buildApp>>;
let url: string;
beforeAll(async () => {
  models = await ModelDir.create();
  await models.add('1');
  metrics = createMetrics();
  registry = await FolderRegistry.open({
    modelDir: models.root,
    engine: { engine: 'onnx', device: 'cpu' },
    queue: { limit: 64 },
    hooks: { onReload: (model, result) => metrics.reloads.inc({ model, result }) },
  });
  app = await buildApp({ config: readConfig({}), registry, metrics });
  await registry.start();
  url = await app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await app.close();
  await models.remove();
});

const post = (path: string, body: object) =>
  fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

interface Job {
  id: string;
  status: string;
  parameters: { model: string };
  error?: object;
}

const get = async <T>(path: string) => (await fetch(url + path)).json() as Promise<T>;
const createJob = async (body: object) =>
  (await post('/v1/jobs', { task: 'sample', ...body })).json() as Promise<Job>;
const jobOf = ({ id }: Job) => get<Job>(`/v1/jobs/${id}`);

async function sample(body: object) {
  const response = await post('/v1/sample', { steps: STEPS, ...body });
  const file = Buffer.from(await response.arrayBuffer());
  return { status: response.status, model: response.headers.get('x-model') ?? '', file };
}

/** Clients that send requests until the signal aborts. Resolves to all responses. */
async function traffic(clients: number, body: object, signal: AbortSignal) {
  const answers: Awaited<ReturnType<typeof sample>>[] = [];
  const client = async (seed: number) => {
    while (!signal.aborted) answers.push(await sample({ seed, ...body }));
  };
  await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
  return answers;
}

test('no request is lost while versions are added, damaged and removed', async () => {
  const { id } = models;
  const end = new AbortController();
  const unnamed = traffic(3, {}, end.signal);
  const named = traffic(1, { model: id }, end.signal);
  const long = sample({ steps: 60, seed: 5 });
  const job = await createJob({ steps: 60, seed: 5 });
  for (let version = 2; version < 2 + RELOADS; version++) {
    await models.add(String(version));
    await registry.reload();
    expect(registry.get().ref).toBe(`${id}@${version}`);
    await models.withdraw(String(version - 1));
    await registry.reload();
  }
  await models.add('9');
  await models.damage('9');
  await registry.reload();
  end.abort();

  const last = `${id}@${1 + RELOADS}`;
  const answers = [...(await unnamed), ...(await named)];
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(new Set(answers.map(({ model }) => model)).size).toBeGreaterThan(1);
  expect(registry.list().map(({ ref }) => ref)).toEqual([last]);
  expect((await sample({})).model).toBe(last);

  // Requests in progress were finished by the version that they started with.
  expect(await long).toMatchObject({ status: 200, model: `${id}@1` });
  expect(job.parameters.model).toBe(`${id}@1`);
  await expect.poll(async () => (await jobOf(job)).status).toBe('succeeded');

  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).toContain(`ddpm_inpaint_model_reloads_total{model="${last}",result="loaded"} 1`);
  expect(text).toContain(`ddpm_inpaint_model_reloads_total{model="${id}@1",result="removed"} 1`);
  expect(text).toContain(`ddpm_inpaint_model_reloads_total{model="${id}@9",result="refused"} 1`);
  expect(text).not.toContain(`ddpm_inpaint_queue_depth{model="${id}@1"}`); // the series of a removed version is removed
  expect(text).toContain(`ddpm_inpaint_queue_depth{model="${last}"}`);
}, 300_000);

test('a job whose version is removed before it starts fails with unknown-model', async () => {
  const { ref } = registry.get();
  const before = await Promise.all(Array.from({ length: CONCURRENCY }, () => createJob({ steps: 1000 })));
  const last = await createJob({ model: ref, steps: 1 });
  await models.add('20');
  await models.withdraw(ref.split('@')[1]);
  await registry.reload();
  for (const { id } of before) await fetch(`${url}/v1/jobs/${id}`, { method: 'DELETE' });
  await expect.poll(async () => (await jobOf(last)).status).toBe('failed');
  expect((await jobOf(last)).error).toMatchObject({
    type: '/problems/unknown-model',
    detail: expect.stringContaining(ref),
  });
});

test('a canary gets its share of the seeds, and a repeated seed gives the same picture', async () => {
  const { id } = models;
  for (const version of ['21', '22']) {
    await models.add(version, (card) => {
      // A different schedule, so that the two versions draw different pictures.
      if (version === '22') Object.assign(card.schedule as object, { s: 0.1 });
    });
  }
  await promote({ modelDir: models.root, file: servingFileIn(models.root) }, `${id}@21:70,@22:30`);
  await registry.reload();
  const first = await Promise.all(Array.from({ length: 40 }, (_, seed) => sample({ seed, steps: 1 })));
  expect(new Set(first.map(({ status }) => status))).toEqual(new Set([200]));
  const to22 = first.filter(({ model }) => model === `${id}@22`).length;
  expect(to22).toBeGreaterThanOrEqual(4); // within 2.9 standard deviations of 12; deterministic
  expect(to22).toBeLessThanOrEqual(20);
  expect(first.length - to22).toBe(first.filter(({ model }) => model === `${id}@21`).length);

  for (let seed = 0; seed < 40; seed += 7) {
    const again = await sample({ seed, steps: 1 });
    const named = await sample({ seed, steps: 1, model: first[seed].model });
    expect([again, named]).toEqual([first[seed], first[seed]]);
    const other = first[seed].model.endsWith('21') ? `${id}@22` : `${id}@21`;
    expect((await sample({ seed, steps: 1, model: other })).file).not.toEqual(first[seed].file);
  }

  const listed = (await get<{ models: object[] }>('/v1/models')).models;
  expect(listed).toContainEqual(expect.objectContaining({ ref: `${id}@21`, share: 0.7, default: true }));
  expect(listed).toContainEqual(expect.objectContaining({ ref: `${id}@22`, share: 0.3, default: false }));

  // While the canary has no worker, the other version serves its requests.
  for (const pid of registry.get(`${id}@22`).workers?.pids ?? []) process.kill(pid, 'SIGKILL');
  await expect.poll(() => registry.get(`${id}@22`).isHealthy).toBe(false);
  const seed = first.findIndex(({ model }) => model === `${id}@22`);
  expect(await sample({ seed, steps: 1 })).toMatchObject({ status: 200, model: `${id}@21` });
  expect(registry.ready).toBe(true);
});
