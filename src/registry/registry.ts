import path from 'node:path';
import type { Logger } from 'pino';
import type { ModelCard } from '../model/card.ts';
import { ModelFolderError } from '../model/folder.ts';
import { parseSplit, partOf } from '../model/traffic-split.ts';
import { Catalogue } from './catalogue.ts';
import { type EngineSettings, type ModelHooks, ModelVersion } from './model-version.ts';
import { readServing, servingFileIn } from './promotions.ts';
import type { ServedModel } from './served-model.ts';

export interface RegistryOptions {
  /** Folder with <id>/<version>/model.json. */
  modelDir: string;
  /** As DEFAULT_MODEL is written; what the serving file says when absent, else the first id's newest version. */
  defaultModel?: string;
  /** serving.json in modelDir when absent. */
  servingFile?: string;
  /** After which a version that is not the default is unloaded; 0: never. */
  idleMs?: number;
  engine: EngineSettings;
  hooks?: ModelHooks;
  log?: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** The client asked for a model that is not here. */
export class UnknownModelError extends Error {
  override name = 'UnknownModelError';
}

export interface ModelRegistry {
  /** By id, newest version first. */
  list(): ServedModel[];
  /**
   * undefined: the default; "id": the version of it that is the default, else its newest; "id@version". Where the
   * default is split the seed decides, always alike; without one, the larger part. Throws UnknownModelError.
   */
  get(reference?: string, seed?: number): ServedModel;
  /** Share of the requests without a model that goes to this one, 0..1. */
  shareOf(model: ServedModel): number;
  /** Looks for what has changed in MODEL_DIR and takes it up; resolves when it is served. */
  reload(): Promise<void>;
  /** Whether a request for the default model can be answered now, and if not why. */
  readonly ready: boolean;
  readonly notReadyReason?: string;
  close(): Promise<void>;
}

/** A model that answers requests without one. */
interface Share {
  model: ModelVersion;
  weight: number;
}

/** Looks for idle versions in the time after which one is unloaded. */
const IDLE_LOOKS = 10;

/**
 * The models of a folder, followed as it changes. What cannot be served is logged and left out, and what was there
 * before goes on serving; a new version takes over when it is loaded and warm, and the old one answers whom it has.
 */
export class FolderRegistry implements ModelRegistry {
  readonly #options: RegistryOptions;
  readonly #catalogue: Catalogue;
  #versions: ModelVersion[] = [];
  /** In effect; replaced only by models that are loaded. */
  #shares: Share[] = [];
  /** No longer in the folder, but the default until another is. */
  readonly #withdrawn = new Set<ModelVersion>();
  /** Given to nobody any more, and answering whom they have. */
  readonly #retired = new Set<ModelVersion>();
  readonly #idleTimer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #closed = false;
  /** What the log has been told already: a look every few seconds would tell it again. */
  #said = '';
  #notFollowed: string | undefined;

  /** Finds the models. Throws ModelFolderError when there is none to serve, or not the default one. */
  static async open(options: RegistryOptions): Promise<FolderRegistry> {
    const registry = new FolderRegistry(options);
    const { found, refused } = await registry.#catalogue.look({ verify: false }); // it is when they are loaded
    for (const { why } of refused) options.log?.error(why);
    registry.#versions = found
      .map(({ folder, card }) => registry.#version(folder, card))
      .sort(byIdThenNewest);
    registry.#shares = await registry.#wanted();
    return registry;
  }

  private constructor(options: RegistryOptions) {
    this.#options = options;
    this.#catalogue = new Catalogue(path.resolve(options.modelDir));
    const { idleMs = 0 } = options;
    if (idleMs > 0) {
      this.#idleTimer = setInterval(() => this.#unloadIdle(idleMs), idleMs / IDLE_LOOKS).unref();
    }
  }

  /**
   * Loads what serves by default; of an id without a version an older one where the newest cannot be loaded.
   * Rejects with ModelFolderError when there is none.
   */
  async start(): Promise<void> {
    try {
      await this.#settle();
    } catch (error) {
      if (!this.ready) throw error; // part of a split can do without the other
      this.#complain(error as Error);
    }
  }

  list(): ModelVersion[] {
    return [...this.#versions];
  }

  get(reference?: string, seed?: number): ModelVersion {
    const isMeant = ({ card, ref }: ModelVersion) =>
      reference === undefined || card.id === reference || ref === reference;
    const shares = this.#shares.filter(({ model }) => isMeant(model));
    if (shares.length > 0) return shareFor(shares, seed);
    const named = this.#versions.filter(isMeant);
    if (named.length === 0)
      throw new UnknownModelError(`there is no model ${reference}: ${whatIsThere(this.#versions)}`);
    return newest(named);
  }

  shareOf(model: ServedModel): number {
    const total = this.#shares.reduce((sum, { weight }) => sum + weight, 0);
    return (this.#shares.find((share) => share.model === model)?.weight ?? 0) / total;
  }

  get ready(): boolean {
    return this.notReadyReason === undefined;
  }

  get notReadyReason(): string | undefined {
    if (this.#shares.some(({ model }) => model.isHealthy)) return undefined;
    const { ref, state, reason } = this.#shares[0].model;
    if (state === 'failed') return `${ref} failed to load: ${reason}`;
    if (state !== 'ready') return `${ref} is loading`;
    return `${ref} has no worker alive; replacements are being started`;
  }

  reload(): Promise<void> {
    this.#queued ??= this.#running.then(() => {
      this.#queued = undefined;
      this.#running = this.#takeUpChanges().catch((error) => this.#complain(error));
      return this.#running;
    });
    return this.#queued;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#idleTimer);
    await this.#running;
    await Promise.all([...this.#versions, ...this.#retired].map((model) => model.close()));
  }

  async #takeUpChanges() {
    if (this.#closed) return;
    const { found, refused, gone } = await this.#catalogue.look({ verify: true });
    for (const { folder, why } of refused) this.#refuse(folder.split(path.sep).slice(-2).join('@'), why);
    for (const { folder, card } of found) await this.#add(this.#version(folder, card));
    for (const model of this.#versions) if (gone.includes(model.folder)) this.#withdrawn.add(model);
    try {
      await this.#settle();
      this.#said = '';
    } finally {
      for (const model of this.#withdrawn) if (!this.#isDefault(model)) this.#remove(model);
    }
  }

  /** Takes a version in, in place of one of the same number whose files were others. */
  async #add(model: ModelVersion) {
    const { ref } = model;
    const old = this.#versions.find((other) => other.ref === ref);
    // Nobody waits for it: until it is warm, the old one is what they get.
    if ((old?.isHealthy || this.#isAwaited(model)) && !(await this.#opened(model))) return;
    this.#versions = [...this.#versions.filter((other) => other !== old), model].sort(byIdThenNewest);
    this.#shares = this.#shares.map((share) => (share.model === old ? { ...share, model } : share));
    if (old) this.#retire(old);
    this.#options.hooks?.onReload?.(ref, 'loaded');
    this.#options.log?.info(
      `${ref}: ${old ? 'its files have changed' : 'found'}; can be asked for from now on`,
    );
  }

  /** Whether those who ask for its id alone are answered by an older version now, and will be by this one. */
  #isAwaited(model: ModelVersion): boolean {
    const ofItsId = this.#versions.filter(({ card }) => card.id === model.card.id);
    if (ofItsId.some((other) => this.#isDefault(other))) return false;
    return ofItsId.some((other) => other.isHealthy && byIdThenNewest(model, other) < 0);
  }

  /** Makes serve what is to, once it is loaded. Rejects with ModelFolderError when it cannot. */
  async #settle(): Promise<void> {
    for (;;) {
      const wanted = await this.#wanted();
      const failed = wanted.find(({ model }) => model.state === 'failed')?.model;
      if (failed) throw new ModelFolderError(`${failed.ref} cannot be loaded: ${failed.reason}`);
      let opened = true;
      for (const { model } of wanted) opened = (await this.#opened(model)) && opened; // in turn: a GPU's batch size is measured
      if (opened) return this.#serve(wanted);
    }
  }

  #serve(shares: Share[]) {
    const before = describeShares(this.#shares);
    this.#shares = shares;
    const now = describeShares(shares);
    if (now !== before)
      this.#options.log?.info(`requests that name no model go to ${now}; before: ${before}`);
  }

  async #wanted(): Promise<Share[]> {
    const { modelDir } = this.#options;
    const there = this.#versions.filter((model) => !this.#withdrawn.has(model));
    if (there.length === 0) {
      throw new ModelFolderError(
        `there is no model in ${modelDir}: set MODEL_DIR to a folder with <id>/<version>/model.json`,
      );
    }
    const { text, source } = await this.#setting();
    const parts = text ? parseSplit(text) : [{ reference: this.#idByDefault(there), weight: 1 }];
    return parts.map(({ reference, weight }) => {
      const named = there.filter(({ card, ref }) => card.id === reference || ref === reference);
      if (named.length > 0) return { model: newest(named), weight };
      throw new ModelFolderError(`${source} ${reference} is not in ${modelDir}: ${whatIsThere(there)}`);
    });
  }

  /** What the operator wants to serve, and where that is said. */
  async #setting(): Promise<{ text?: string; source: string }> {
    const { modelDir, defaultModel, servingFile = servingFileIn(modelDir), log } = this.#options;
    const promoted = (await readServing(servingFile))?.default;
    if (!defaultModel) return { text: promoted, source: servingFile };
    if (promoted && promoted !== this.#notFollowed) {
      log?.warn(`DEFAULT_MODEL is set (${defaultModel}), so ${servingFile} (${promoted}) is not followed`);
    }
    this.#notFollowed = promoted;
    return { text: defaultModel, source: 'DEFAULT_MODEL' };
  }

  /** A new id in the folder is not the default for coming first in the alphabet. */
  #idByDefault(there: ModelVersion[]): string {
    const ids = there.map(({ card }) => card.id);
    const now = this.#shares[0]?.model.card.id;
    return now !== undefined && ids.includes(now) ? now : ids[0];
  }

  #version(folder: string, card: ModelCard): ModelVersion {
    const { engine, hooks = {} } = this.#options;
    return new ModelVersion(folder, card, engine, hooks);
  }

  #isDefault(model: ModelVersion): boolean {
    return this.#shares.some((share) => share.model === model);
  }

  /** Whether it could be loaded; if not, that has been said. */
  async #opened(model: ModelVersion): Promise<boolean> {
    try {
      await model.open();
      return true;
    } catch (error) {
      this.#refuse(model.ref, (error as Error).message);
      return false;
    }
  }

  #refuse(ref: string, why: string) {
    this.#options.hooks?.onReload?.(ref, 'refused');
    this.#options.log?.error(why);
  }

  #remove(model: ModelVersion) {
    this.#withdrawn.delete(model);
    this.#versions = this.#versions.filter((other) => other !== model);
    this.#retire(model);
    this.#options.hooks?.onReload?.(model.ref, 'removed');
    this.#options.log?.info(`${model.ref} is no longer in ${this.#options.modelDir}`);
  }

  #retire(model: ModelVersion) {
    this.#withdrawn.delete(model);
    this.#retired.add(model);
    void model.retire().finally(() => this.#retired.delete(model));
  }

  #unloadIdle(idleMs: number) {
    for (const model of this.#versions) {
      const idle = model.scheduler?.idle && performance.now() - model.askedMs > idleMs;
      if (idle && model.state === 'ready' && !this.#isDefault(model)) void model.unload();
    }
  }

  #complain({ message }: Error) {
    if (message === this.#said) return;
    this.#said = message;
    this.#options.log?.error(`${message}; ${describeShares(this.#shares)} goes on serving`);
  }
}

/** The seed's; of those that can answer now, while there are any. */
function shareFor(shares: Share[], seed: number | undefined): ModelVersion {
  if (seed === undefined) return shares.reduce((a, b) => (b.weight > a.weight ? b : a)).model;
  const { model } = partOf(shares, seed);
  const others = shares.filter((share) => share.model.isHealthy);
  return model.isHealthy || others.length === 0 ? model : partOf(others, seed).model;
}

/** Of versions in order, the newest that has not failed. */
function newest(versions: ModelVersion[]): ModelVersion {
  return versions.find(({ state }) => state !== 'failed') ?? versions[0];
}

function describeShares(shares: Share[]): string {
  if (shares.length === 1) return shares[0].model.ref;
  return shares.map(({ model, weight }) => `${model.ref}:${weight}`).join(',');
}

function byIdThenNewest({ card: a }: ServedModel, { card: b }: ServedModel): number {
  return a.id.localeCompare(b.id) || Number(b.version) - Number(a.version);
}

function whatIsThere(models: ModelVersion[]): string {
  return `there are ${models.map(({ ref }) => ref).join(', ')}`;
}
