import { type ModelRegistry, UnknownModelError } from '../../../registry/registry.ts';
import type { ServedModel } from '../../../registry/served-model.ts';
import type { Signature } from './message.ts';
import { FILL, networkSignature } from './signatures.ts';

/** Ends the name under which the bare network of a model is served. */
const NETWORK = '-network';

/** Names a model in a path: an id, or id@version, and perhaps a version after it. */
export interface ModelPath {
  model: string;
  version?: string;
}

export interface FoundModel {
  /** The name as the client wrote it. */
  name: string;
  model: ServedModel;
  /** How the registry calls it: id, or id@version. */
  reference: string;
  /** Whether the bare network is meant, and not the whole task. */
  isNetwork: boolean;
  signature: Signature;
}

/** The model of a path; where its id is served by several versions, the seed decides. Throws UnknownModelError. */
export function findModel(
  registry: ModelRegistry,
  { model: name, version }: ModelPath,
  seed?: number,
): FoundModel {
  const refer = (id: string) => (version === undefined ? id : `${id}@${version}`);
  try {
    const model = registry.get(refer(name), seed);
    return { name, model, reference: refer(name), isNetwork: false, signature: FILL };
  } catch (error) {
    if (!(error instanceof UnknownModelError && name.endsWith(NETWORK))) throw error;
    const reference = refer(name.slice(0, -NETWORK.length));
    const model = registry.get(reference, seed);
    return { name, model, reference, isNetwork: true, signature: networkSignature(model) };
  }
}

/** The versions that the name in a path stands for, oldest first. */
export function versionsOf(registry: ModelRegistry, { reference, model: { card } }: FoundModel): string[] {
  if (reference.includes('@')) return [card.version];
  const same = registry.list().filter((other) => other.card.id === card.id);
  return same.map((other) => other.card.version).reverse();
}
