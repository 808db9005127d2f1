import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** Every metric, declared once; a registry of its own for each app, so that tests can build many. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    httpRequests: new Counter({
      name: 'ddpm_inpaint_http_requests_total',
      help: 'HTTP requests answered',
      labelNames: ['route', 'method', 'status'],
      registers,
    }),
    httpSeconds: new Histogram({
      name: 'ddpm_inpaint_http_request_seconds',
      help: 'Time from the first byte of a request to the end of its answer',
      labelNames: ['route', 'method'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    disconnects: new Counter({
      name: 'ddpm_inpaint_client_disconnects_total',
      help: 'Clients that went away before their answer',
      registers,
    }),
    connectionsRefused: new Counter({
      name: 'ddpm_inpaint_connections_refused_total',
      help: 'Connections closed at once because there were MAX_CONNECTIONS',
      registers,
    }),
    failures: new Counter({
      name: 'ddpm_inpaint_failures_total',
      help: 'Requests refused or failed, by problem type',
      labelNames: ['reason'],
      registers,
    }),
    ready: new Gauge({
      name: 'ddpm_inpaint_ready',
      help: '1 when the default model is loaded and its workers can evaluate, else 0',
      registers,
    }),
    queueDepth: new Gauge({
      name: 'ddpm_inpaint_queue_depth',
      help: 'Images whose first step has not begun',
      labelNames: ['model'],
      registers,
    }),
    active: new Gauge({
      name: 'ddpm_inpaint_active_images',
      help: 'Images under way',
      labelNames: ['model'],
      registers,
    }),
    workers: new Gauge({
      name: 'ddpm_inpaint_workers',
      help: 'Worker processes that can evaluate now',
      labelNames: ['model', 'engine', 'device'],
      registers,
    }),
    workerRestarts: new Counter({
      name: 'ddpm_inpaint_worker_restarts_total',
      help: 'Worker processes that ended and were replaced',
      labelNames: ['model'],
      registers,
    }),
    engineInfo: new Gauge({
      name: 'ddpm_inpaint_engine_info',
      help: 'Where a model runs; always 1',
      labelNames: ['model', 'engine', 'device', 'device_name', 'library', 'precision'],
      registers,
    }),
    deviceMemory: new Gauge({
      name: 'ddpm_inpaint_engine_device_memory_bytes',
      help: 'Memory of the GPU that a model runs on, where it is known',
      labelNames: ['model'],
      registers,
    }),
    engineFallbacks: new Counter({
      name: 'ddpm_inpaint_engine_fallbacks_total',
      help: 'Times that another runtime took over, as engine/device',
      labelNames: ['model', 'from', 'to'],
      registers,
    }),
    reloads: new Counter({
      name: 'ddpm_inpaint_model_reloads_total',
      help: 'Model versions found in MODEL_DIR while serving (loaded), refused, or no longer there (removed)',
      labelNames: ['model', 'result'],
      registers,
    }),
    batchRows: new Histogram({
      name: 'ddpm_inpaint_batch_rows',
      help: 'Rows of each network evaluation',
      labelNames: ['model'],
      buckets: [1, 2, 4, 8, 16, 32, 64],
      registers,
    }),
    evaluationSeconds: new Histogram({
      name: 'ddpm_inpaint_evaluation_seconds',
      help: 'Time of one network evaluation inside its worker',
      labelNames: ['model', 'engine', 'device'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'ddpm_inpaint_request_seconds',
      help: 'Time of one inpainting or sampling request, queue included',
      labelNames: ['task', 'model', 'sampler', 'engine'],
      buckets: REQUEST_SECONDS,
      registers,
    }),
    requestFailures: new Counter({
      name: 'ddpm_inpaint_request_failures_total',
      help: 'Inpainting and sampling requests that a model had begun and not finished, by problem type; cancelled: by who asked',
      labelNames: ['task', 'model', 'reason'],
      registers,
    }),
    steps: new Counter({
      name: 'ddpm_inpaint_denoising_steps_total',
      help: 'Denoising steps of finished requests, over all their images',
      labelNames: ['model', 'sampler'],
      registers,
    }),
    maskFraction: new Histogram({
      name: 'ddpm_inpaint_mask_fraction',
      help: 'Share of the picture that is hole',
      buckets: [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1],
      registers,
    }),
    pictureMegapixels: new Histogram({
      name: 'ddpm_inpaint_picture_megapixels',
      help: 'Size of the pictures sent, in millions of pixels',
      buckets: [0.01, 0.1, 0.5, 1, 2, 5, 10, 25],
      registers,
    }),
    inputBrightness: new Histogram({
      name: 'ddpm_inpaint_input_brightness',
      help: 'Mean luma of the pixels that the model was shown, 0 black to 1 white',
      buckets: [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
      registers,
    }),
    inputDistance: new Histogram({
      name: 'ddpm_inpaint_input_distance',
      help: 'How far the pixels that the model was shown are from its training set, in standard deviations; 1 is usual',
      labelNames: ['model'],
      buckets: [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 10],
      registers,
    }),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;
