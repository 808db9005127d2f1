import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const REQUEST_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800,
];

/** Creates all metrics in a new registry. Each app has its own, so that tests can build several in one process. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    httpRequests: new Counter({
      name: 'ddpm_inpaint_http_requests_total',
      help: 'HTTP requests answered, by route, method and status',
      labelNames: ['route', 'method', 'status'],
      registers,
    }),
    httpSeconds: new Histogram({
      name: 'ddpm_inpaint_http_request_seconds',
      help: 'Time from the first byte of a request to the end of its response, in seconds',
      labelNames: ['route', 'method'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    disconnects: new Counter({
      name: 'ddpm_inpaint_client_disconnects_total',
      help: 'Clients that disconnected, or stopped reading, before their response was complete',
      registers,
    }),
    connectionsRefused: new Counter({
      name: 'ddpm_inpaint_connections_refused_total',
      help: 'Connections refused because MAX_CONNECTIONS were open',
      registers,
    }),
    failures: new Counter({
      name: 'ddpm_inpaint_failures_total',
      help: 'Requests that were rejected or failed, by problem type',
      labelNames: ['reason'],
      registers,
    }),
    ready: new Gauge({
      name: 'ddpm_inpaint_ready',
      help: '1 if the default model is loaded and has a live worker, else 0',
      registers,
    }),
    queueDepth: new Gauge({
      name: 'ddpm_inpaint_queue_depth',
      help: 'Images waiting for their first denoising step',
      labelNames: ['model'],
      registers,
    }),
    active: new Gauge({
      name: 'ddpm_inpaint_active_images',
      help: 'Images being denoised',
      labelNames: ['model'],
      registers,
    }),
    pictureBytes: new Gauge({
      name: 'ddpm_inpaint_picture_bytes',
      help: 'Memory reserved for decoded pictures and results, in bytes; at most three quarters of MAX_DECODED_BYTES',
      registers,
    }),
    jobsWaiting: new Gauge({
      name: 'ddpm_inpaint_jobs_waiting',
      help: 'Jobs waiting to run; with Redis, those of all replicas, so every replica reports the same number',
      registers,
    }),
    workers: new Gauge({
      name: 'ddpm_inpaint_workers',
      help: 'Worker processes that are alive',
      labelNames: ['model', 'engine', 'device'],
      registers,
    }),
    workerRestarts: new Counter({
      name: 'ddpm_inpaint_worker_restarts_total',
      help: 'Worker processes that ended and were replaced, by reason: exited, device (failed) or hung (killed)',
      labelNames: ['model', 'reason'],
      registers,
    }),
    engineInfo: new Gauge({
      name: 'ddpm_inpaint_engine_info',
      help: 'Engine, device and library that a model runs on, as labels; the value is always 1',
      labelNames: ['model', 'engine', 'device', 'device_name', 'library', 'precision'],
      registers,
    }),
    deviceMemory: new Gauge({
      name: 'ddpm_inpaint_engine_device_memory_bytes',
      help: 'Memory of the GPU that a model runs on, in bytes, if known',
      labelNames: ['model'],
      registers,
    }),
    engineFallbacks: new Counter({
      name: 'ddpm_inpaint_engine_fallbacks_total',
      help: 'Switches to another runtime because workers kept failing; from and to are engine/device',
      labelNames: ['model', 'from', 'to'],
      registers,
    }),
    reloads: new Counter({
      name: 'ddpm_inpaint_model_reloads_total',
      help: 'Changes of model versions in MODEL_DIR, by result: loaded or removed while serving, or refused',
      labelNames: ['model', 'result'],
      registers,
    }),
    batchRows: new Histogram({
      name: 'ddpm_inpaint_batch_rows',
      help: 'Rows in a network evaluation',
      labelNames: ['model'],
      buckets: [1, 2, 4, 8, 16, 32, 64],
      registers,
    }),
    evaluationSeconds: new Histogram({
      name: 'ddpm_inpaint_evaluation_seconds',
      help: 'Time of one network evaluation in its worker, in seconds',
      labelNames: ['model', 'network', 'engine', 'device'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'ddpm_inpaint_request_seconds',
      help: 'Time of one inpainting or sampling request, including the queue, in seconds',
      labelNames: ['task', 'model', 'sampler', 'engine'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    requestFailures: new Counter({
      name: 'ddpm_inpaint_request_failures_total',
      help: 'Inpainting and sampling requests that started and did not finish, by problem type; cancelled: by the client',
      labelNames: ['task', 'model', 'reason'],
      registers,
    }),
    jobsFailed: new Counter({
      name: 'ddpm_inpaint_jobs_failed_total',
      help: 'Jobs that ended as failed, by problem type',
      labelNames: ['reason'],
      registers,
    }),
    webhooks: new Counter({
      name: 'ddpm_inpaint_webhooks_total',
      help: 'Webhooks of jobs, by result: delivered, or failed (given up after the last try)',
      labelNames: ['result'],
      registers,
    }),
    steps: new Counter({
      name: 'ddpm_inpaint_denoising_steps_total',
      help: 'Network evaluations of finished requests: a step of each window of each image',
      labelNames: ['model', 'sampler'],
      registers,
    }),
    maskFraction: new Histogram({
      name: 'ddpm_inpaint_mask_fraction',
      help: 'Fraction of a picture that is in the hole, 0 to 1',
      buckets: [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1],
      registers,
    }),
    pictureMegapixels: new Histogram({
      name: 'ddpm_inpaint_picture_megapixels',
      help: 'Size of a picture in a request, in millions of pixels',
      buckets: [0.01, 0.1, 0.5, 1, 2, 5, 10, 25],
      registers,
    }),
    inputBrightness: new Histogram({
      name: 'ddpm_inpaint_input_brightness',
      help: 'Mean luma of the known pixels given to the model, from 0 (black) to 1 (white)',
      buckets: [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
      registers,
    }),
    inputDistance: new Histogram({
      name: 'ddpm_inpaint_input_distance',
      help: 'Distance of the known pixels from the training data, in standard deviations; about 1 for similar pictures',
      labelNames: ['model'],
      buckets: [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 10],
      registers,
    }),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;
