// A trained spiking transformer that computes in the page: ssf/figures/live.py wrote its file,
// ssf/model/spikformer.py is the same network in Python. No other script is needed.
//
// Tokens are counts of spikes, an array [tokens · channels] for each time step. Weights are whole
// numbers times powers of two, so sums are exact: what fires here fires in torch.
const ssfNetwork = (() => {
  const VERSION = 1;
  const TYPES = {I8: Int8Array, I16: Int16Array, U8: Uint8Array, F32: Float32Array};
  const MAC = 4.6e-6, ADD = 0.9e-6;  // microjoules at 45 nm (Horowitz, ISSCC 2014)
  const sum = numbers => {
    let total = 0;
    for (let i = 0; i < numbers.length; i++) total += numbers[i];
    return total;
  };
  const fired = numbers => {  // how many are not 0
    let total = 0;
    for (let i = 0; i < numbers.length; i++) total += numbers[i] != 0;
    return total;
  };
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

  // ---- The file: safetensors, that is a header's length, the header, and arrays behind it

  function read(text) {
    const {buffer} = bytes(text), start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
    const about = JSON.parse(header.__metadata__.ssf), layers = {};
    if (about.version != VERSION) throw Error(`the file is of version ${about.version}; this script reads ${VERSION}`);
    const array = name => {
      if (!header[name]) return null;
      const {dtype, data_offsets: [from, to]} = header[name];
      return new TYPES[dtype](buffer.slice(start + from, start + to));
    };
    for (const name of Object.keys(header).filter(key => key.endsWith(".bias")).map(key => key.slice(0, -5))) {
      const bias = Float64Array.from(array(`${name}.bias`)), power = array(`${name}.power`);
      const numbers = array(`${name}.weight`) || filled(array(`${name}.values`), array(`${name}.gaps`));
      const {rows, taps} = shapeOf(name, about.model), width = bias.length;
      const weight = new Float64Array(rows * taps * width);
      numbers.forEach((x, i) => { weight[i] = x * 2 ** -power[i % width]; });
      layers[name] = {name, weight, bias, rows, taps, width, left: fired(weight)};
    }
    return {...about, layers};
  }

  // Sparse numbers: before each value, so many zeros
  function filled(values, gaps) {
    const numbers = new Float64Array(sum(Array.from(gaps)) + gaps.length);
    let place = -1;
    values.forEach((x, i) => { place += gaps[i] + 1; numbers[place] = x; });
    return numbers;
  }

  // Inputs and places of a layer: nine in a 3×3 convolution, one in a linear layer
  function shapeOf(name, {width, channels, mlp_ratio}) {
    const stage = name.match(/^stem\.stages\.(\d)$/);
    if (stage) return {rows: stage[1] > 0 ? width >> 4 - stage[1] : channels, taps: 9};
    if (name == "stem.position") return {rows: width, taps: 9};
    if (/^selector\.\d\.1$/.test(name)) return {rows: width >> 1, taps: 1};
    return {rows: name.endsWith("fc2") ? width * mlp_ratio : width, taps: 1};
  }

  // ---- The neuron: charge, fire, reset (chapter 00)

  // Spikes of one neuron layer: currents(t, place) fills `current`, [width] at one place
  function fire({tau, time_steps: T}, threshold, places, width, currents) {
    const spikes = Array.from({length: T}, () => new Uint8Array(places * width));
    const current = new Float64Array(width), potential = new Float64Array(width);
    for (let place = 0; place < places; place++) {
      potential.fill(0);
      for (let t = 0; t < T; t++) {
        currents(t, place, current);
        for (let c = 0; c < width; c++) {
          const charged = potential[c] + (current[c] - potential[c]) / tau;
          const fires = charged >= threshold;
          if (fires) spikes[t][place * width + c] = 1;
          potential[c] = fires ? 0 : charged;
        }
      }
    }
    return spikes;
  }

  // Add a row of weights for what one input channel sends: where nothing fired, nothing is added
  function add(layer, row, x, current) {
    const {weight, width} = layer, from = row * width;
    for (let c = 0; c < width; c++) current[c] += x * weight[from + c];
  }

  // ---- Layers. Each leaves a line in the log: how many inputs were not 0, and what fired

  function logged(log, layer, inputs, places, spikes, binary) {
    const steps = spikes ? spikes.length : 1, nonzero = sum(inputs.map(fired));
    log.push({
      name: layer.name, binary, macs: layer.weight.length * places * steps, density: layer.left / layer.weight.length,
      share: nonzero / (sum(inputs.map(x => x.length)) || 1), spikes: spikes && spikes.map(sum),
      neurons: spikes && spikes[0].length,
    });
  }

  // LIF(BN(Linear(x))), BatchNorm being folded in: a token at a time
  function linear(network, name, x, places, log, binary = false) {
    const layer = network.layers[name], {rows} = layer;
    const spikes = fire(network.model, network.model.v_threshold, places, layer.width, (t, place, current) => {
      current.set(layer.bias);
      for (let i = 0; i < rows; i++) {
        const value = x[t][place * rows + i];
        if (value) add(layer, i, value, current);
      }
    });
    logged(log, layer, x, places, spikes, binary);
    return spikes;
  }

  // LIF(BN(Conv3×3(x))) of maps [side · side · channels]; one map alone is seen at every step
  function convolution(network, name, x, side, log, binary = true) {
    const layer = network.layers[name], {rows} = layer;
    const spikes = fire(network.model, network.model.v_threshold, side * side, layer.width, (t, place, current) => {
      if (t && x.length == 1) return;  // a still image: the same current again
      const map = x[t], row = Math.floor(place / side), column = place % side;
      current.set(layer.bias);
      for (let tap = 0; tap < 9; tap++) {
        const r = row + Math.floor(tap / 3) - 1, c = column + tap % 3 - 1;
        if (r < 0 || c < 0 || r >= side || c >= side) continue;
        const from = (r * side + c) * rows;
        for (let i = 0; i < rows; i++) if (map[from + i]) add(layer, i * 9 + tap, map[from + i], current);
      }
    });
    logged(log, layer, x, side * side, spikes, binary);
    return spikes;
  }

  // The largest of 3×3 places, at every second one
  function pooled(map, side, width) {
    const half = side + 1 >> 1, out = new Uint8Array(half * half * width);
    for (let row = 0; row < half; row++) for (let column = 0; column < half; column++)
      for (let r = Math.max(0, 2 * row - 1); r <= Math.min(side - 1, 2 * row + 1); r++)
        for (let c = Math.max(0, 2 * column - 1); c <= Math.min(side - 1, 2 * column + 1); c++)
          for (let i = 0; i < width; i++)
            if (map[(r * side + c) * width + i]) out[(row * half + column) * width + i] = 1;
    return out;
  }

  const added = (x, y) => x.map((step, t) => {
    const out = step.slice();
    for (let i = 0; i < out.length; i++) out[i] += y[t][i];
    return out;
  });

  // ---- The network (chapter 01): stem, blocks, head

  // Tokens of an image of grey levels [channels · side · side]
  function stem(network, image) {
    const {channels, pool_stages, width} = network.model, log = [];
    let {side} = network.model;
    const area = side * side, map = new Float64Array(area * channels);
    image.forEach((level, i) => {
      const channel = Math.floor(i / area);
      map[i % area * channels + channel] = level - network.mean[channel];
    });
    let x = [map];
    for (let stage = 0; stage < 4; stage++) {
      const name = `stem.stages.${stage}`;
      x = convolution(network, name, x, side, log, stage > 0);
      if (pool_stages.includes(stage)) {
        x = x.map(step => pooled(step, side, network.layers[name].width));
        side = side + 1 >> 1;
      }
    }
    return {x: added(x, convolution(network, "stem.position", x, side, log)), tokens: side * side, width, log};
  }

  // Spiking self-attention: q (kᵀ v) · scale, head by head, without a softmax
  function attention(network, block, x, tokens, log) {
    const {width, heads, attention_scale, attention_v_threshold, time_steps} = network.model, d = width / heads;
    const all = linear(network, `${block}.attention.qkv`, x, tokens, log), three = 3 * width;
    const pairs = all.map(step => {  // kᵀ v of each head: [heads · d · d]
      const out = new Float64Array(heads * d * d);
      for (let n = 0; n < tokens; n++) for (let i = 0; i < width; i++) if (step[n * three + width + i])
        for (let j = 0, from = i - i % d; j < d; j++) out[i * d + j] += step[n * three + 2 * width + from + j];
      return out;
    });
    const spikes = fire(network.model, attention_v_threshold, tokens, width, (t, n, current) => {
      current.fill(0);
      for (let i = 0; i < width; i++) if (all[t][n * three + i])
        for (let j = 0, from = i - i % d; j < d; j++) current[from + j] += pairs[t][i * d + j] * attention_scale;
    });
    let driving = 0;  // spikes of q and of v
    for (const step of all) for (let i = 0; i < step.length; i++) driving += i % three < width || i % three >= 2 * width ? step[i] : 0;
    log.push({
      name: `${block}.attention`, binary: true, macs: 2 * time_steps * tokens * tokens * width, density: 1,
      share: driving / (2 * time_steps * tokens * width), spikes: spikes.map(sum), neurons: tokens * width,
    });
    return linear(network, `${block}.attention.proj`, spikes, tokens, log, true);
  }

  function block(network, number, x, tokens, log) {
    const name = `blocks.${number}`;
    x = added(x, attention(network, name, x, tokens, log));
    return added(x, linear(network, `${name}.fc2`, linear(network, `${name}.fc1`, x, tokens, log), tokens, log, true));
  }

  // The chosen tokens alone
  const gathered = (x, chosen, width) => x.map(step => {
    const out = new step.constructor(chosen.length * width);
    chosen.forEach((n, i) => out.set(step.subarray(n * width, (n + 1) * width), i * width));
    return out;
  });

  // Mean over time of each token's counts, [tokens · width]
  function averaged(x) {
    const out = new Float64Array(x[0].length);
    for (const step of x) for (let i = 0; i < out.length; i++) out[i] += step[i];
    return out.map(total => total / x.length);
  }

  function affine(layer, x) {
    const out = Float64Array.from(layer.bias);
    x.forEach((value, i) => value && add(layer, i, value, out));
    return out;
  }

  // What is left of the tokens, `chosen` before the selector's first block, through blocks and head.
  // Without `chosen` the network's own selector decides, before every block where it has one.
  function run(network, stemmed, chosen) {
    const {depth, width, selector} = network.model, log = [...stemmed.log], streams = [];
    const places = selector ? selector.locations : [0];
    let {x} = stemmed, left = Array.from({length: stemmed.tokens}, (_, n) => n);
    for (let number = 0; number < depth; number++) {
      const place = places.indexOf(number);
      if (place == 0 && chosen || place >= 0 && selector && !chosen) {
        const own = () => best(scores(network, x, left.length, selector.kind, place, log), selector.counts[place]);
        const kept = chosen || own();
        x = gathered(x, kept, width);
        left = kept.map(n => left[n]);
      }
      x = block(network, number, x, left.length, log);
      streams.push({x, left});
    }
    const mean = new Float64Array(width), rates = averaged(x);
    rates.forEach((rate, i) => { mean[i % width] += rate / left.length; });
    logged(log, network.layers.head, [mean], 1, null, false);
    return {logits: affine(network.layers.head, mean), left, log, streams, ...costs(log)};
  }

  // ---- Selectors (chapter 03): a score a token, the higher, the rather it stays

  function scores(network, x, tokens, kind, place = 0, log = []) {
    const {width} = network.model, rates = averaged(x);
    const of = n => rates.subarray(n * width, (n + 1) * width);
    if (kind == "firing_rate") return Array.from({length: tokens}, (_, n) => sum(of(n)) / width);
    const [first, last] = [0, 1].map(i => network.layers[`selector.${place}.${i}`]);
    for (const layer of [first, last]) logged(log, layer, [rates], tokens, null, false);
    return Array.from({length: tokens}, (_, n) => {
      const [keep, drop] = affine(last, affine(first, of(n)).map(gelu));
      return -Math.log1p(Math.exp(drop - keep));
    });
  }

  // Places of the highest scores, rising; of equal ones the first
  const order = scores => scores.map((_, n) => n).sort((a, b) => scores[b] - scores[a] || a - b);
  const best = (scores, count) => order(scores).slice(0, count).sort((a, b) => a - b);

  const gelu = x => 0.5 * x * (1 + erf(x / Math.SQRT2));

  // e^(−x²) times a sum of positive terms: exact to the last digits
  function erf(x) {
    if (Math.abs(x) > 6) return Math.sign(x);
    let term = x, total = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) total += term *= 2 * x * x / (2 * n + 1);
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * total;
  }

  // ---- What it costs (chapter 04), of the weights that are left, as ssf/model/cost.py counts

  function costs(log) {
    const multiplied = row => row.name == "stem.stages.0" || row.name == "head" || row.name.startsWith("selector");
    return {
      macs: sum(log.map(row => row.macs * row.density)),
      sops: sum(log.filter(row => row.binary).map(row => row.macs * row.density * row.share)),
      energy: sum(log.map(row => row.macs * row.density * (multiplied(row) ? MAC : ADD * row.share))),
    };
  }

  function softmax(logits) {
    const top = Math.max(...logits), powers = Array.from(logits, x => Math.exp(x - top)), total = sum(powers);
    return powers.map(p => p / total);
  }

  return {read, stem, run, costs, scores, order, best, softmax, bytes};
})();
if (typeof module != "undefined") module.exports = ssfNetwork;
