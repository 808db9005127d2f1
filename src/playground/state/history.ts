import type { Document, State, Step } from './types.ts';

/** Steps that can be undone. */
const LIMIT = 100;

type Change = Pick<State, 'document' | 'past' | 'future'>;

/** The state after a step that is called `label` and leads to `document`. */
export function pushed(state: Change, label: string, document: Document): Change {
  const step: Step = { label, document: state.document };
  return { document, past: [...state.past, step].slice(-LIMIT), future: [] };
}

/** The state before the last step; undefined if there is none. */
export function undone(state: Change): Change | undefined {
  const step = state.past.at(-1);
  if (!step?.document) return undefined; // before the first picture there is nothing to return to
  return {
    document: step.document,
    past: state.past.slice(0, -1),
    future: [...state.future, { label: step.label, document: state.document }],
  };
}

export function redone(state: Change): Change | undefined {
  const step = state.future.at(-1);
  if (!step?.document) return undefined;
  return {
    document: step.document,
    past: [...state.past, { label: step.label, document: state.document }],
    future: state.future.slice(0, -1),
  };
}

/** The masks that undo, redo and results can still lead to. */
export function masksInUse({ document, past, future, runs, fill }: State): number[] {
  const documents = [document, ...[...past, ...future].map((step) => step.document)];
  const masks = [...documents.map((each) => each?.mask), ...runs.map((run) => run.mask), fill?.mask];
  return [...new Set(masks.flatMap((mask) => mask?.version ?? []))];
}
