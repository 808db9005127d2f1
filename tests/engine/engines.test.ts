import { loadOnnx } from '../../src/engine/onnx.ts';
import { realModelSpec } from '../helpers/model.ts';
import { engineSuite } from './suite.ts';

const spec = await realModelSpec();

engineSuite(spec, loadOnnx, loadOnnx(spec), { toOnnx: 0, toBatch: 0 });
