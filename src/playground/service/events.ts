import { ServiceError } from './http.ts';

export interface ServiceEvent {
  id?: string;
  event: string;
  data: Record<string, unknown>;
}

/** The service sends a comment every 15 s. After this much silence the connection is dead. */
const SILENCE_MS = 45_000;

/** Reads server-sent events. EventSource could not send an API key. Throws ServiceError when the connection breaks. */
export async function* readEvents({ body }: Response, signal: AbortSignal): AsyncGenerator<ServiceEvent> {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const chunks: string[] = [];
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read(), signal);
      if (done) return;
      chunks.push(value);
      if (!value.includes('\n\n') && !value.startsWith('\n')) continue; // a large event: it is joined once, at its end
      const blocks = chunks.join('').split('\n\n');
      chunks.length = 0;
      chunks.push(blocks.pop() ?? '');
      for (const block of blocks) {
        const event = parse(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block: string): ServiceEvent | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const colon = line.indexOf(': ');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const event = fields.get('event');
  const data = fields.get('data');
  if (event === undefined || data === undefined) return undefined; // a comment
  return { id: fields.get('id'), event, data: JSON.parse(data) };
}

async function withinSilence<T>(reading: Promise<T>, signal: AbortSignal): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ServiceError(0)), SILENCE_MS);
  });
  try {
    return await Promise.race([reading, silence]);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof ServiceError ? error : new ServiceError(0);
  } finally {
    clearTimeout(timer);
  }
}
