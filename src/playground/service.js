/** Client for the parts of the service's API that this page uses. */

/** The service answered with a problem document (RFC 9457), or did not answer. */
export class ServiceError extends Error {
  /** @param {number} status HTTP status, 0 if there was no response @param {string} detail */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** @param {string} key */
const authorization = (key) => (key ? { authorization: `Bearer ${key}` } : undefined);

/**
 * Fetches a path; resolves for a 2xx status only. An aborted request rejects with the browser's AbortError.
 *
 * @param {string} path @param {RequestInit} [init] @returns {Promise<Response>}
 * @throws {ServiceError}
 */
async function ask(path, init) {
  const response = await fetch(path, init).catch((error) => {
    if (init?.signal?.aborted) throw error;
    throw new ServiceError(0, 'The service is not reachable.');
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ServiceError(response.status, describe(problem, response.statusText));
}

/** @param {any} problem @param {string} otherwise */
function describe({ detail, title, errors = [] }, otherwise) {
  const fields = errors.map((/** @type {any} */ { pointer, detail }) => `${pointer.slice(2)}: ${detail}`);
  return fields.length > 0 ? fields.join('; ') : (detail ?? title ?? otherwise);
}

/** @param {string} key @returns {Promise<any[]>} */
export async function models(key) {
  const response = await ask('v1/models', { headers: authorization(key) });
  return (await response.json()).models;
}

/** Generates a picture from noise. @param {string} key @returns {Promise<Blob>} */
export async function draw(key) {
  const response = await ask('v1/sample', {
    method: 'POST',
    headers: { accept: 'image/png', 'content-type': 'application/json', ...authorization(key) },
    body: '{}',
  });
  return response.blob();
}

/**
 * Fills a hole. Calls `onEvent` for `queued` and `progress` events, and resolves to the data of the `result` event.
 *
 * @param {FormData} form @param {string} key @param {AbortSignal} signal
 * @param {(event: string, data: any) => void} onEvent
 * @returns {Promise<any>}
 */
export async function fill(form, key, signal, onEvent) {
  const headers = { accept: 'text/event-stream', ...authorization(key) };
  const response = await ask('v1/inpaint', { method: 'POST', headers, body: form, signal });
  for await (const { event, data } of events(response)) {
    if (event === 'result') return data;
    if (event === 'error') throw new ServiceError(data.status, describe(data, 'The request failed.'));
    onEvent(event, data);
  }
  throw new ServiceError(0, 'The connection closed before the picture was finished. Try again.');
}

/**
 * Parses the server-sent events of a response. (EventSource cannot send POST requests.)
 *
 * @param {Response} response @returns {AsyncGenerator<{ event: string, data: any }>}
 */
async function* events({ body }) {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = block.match(/^event: (.*)$/m)?.[1];
      const data = block.match(/^data: (.*)$/m)?.[1];
      if (event && data) yield { event, data: JSON.parse(data) }; // comments are heartbeats
    }
  }
}
