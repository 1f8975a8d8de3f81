// What a reader touches: a picture whose tokens can be erased, and what live.js computes of the
// rest. Every element with the class ssf-live becomes one, when it comes into view.
(() => {
  const WAYS = {
    learned: "Learned selector", firing_rate: "What fires most", chance: "Chance", truth: "The truth",
  };
  const ABOUT = {
    learned: "A small trained network, part of the transformer, ranks the tokens.",
    firing_rate: "The tokens with the most spikes after the stem come first.",
    chance: "The order is drawn at random, and drawn again each time.",
    truth: "The squares that the item fills most come first.",
    flip: "A search drops the token whose loss hurts the answer most, then the next, until the answer changes.",
    all: "Every token goes on to the blocks.",
    none: "Each choice ranks the tokens. Those at the end of the ranking are dropped first.",
  };
  const PERCENT = new Intl.NumberFormat("en", {style: "percent", maximumFractionDigits: 0});
  const number = (x, digits = 0) => x.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});
  const pause = () => new Promise(done => setTimeout(done));

  function made(tag, properties = {}, ...children) {
    const {class: name, data, ...own} = properties, element = Object.assign(document.createElement(tag), own);
    if (name) element.className = name;
    for (const [key, value] of Object.entries(own)) if (key.startsWith("aria-") || key == "role") element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const section = (name, title, ...children) =>
    made("section", {class: `ssf-${name}`}, made("h3", {textContent: title}), ...children);

  // A row of a list of bars: name, bar (of one part or several), number
  function bar(name, parts = 1) {
    const fills = Array.from({length: parts}, () => made("span")), told = made("span", {class: "ssf-told"});
    const row = made("div", {class: "ssf-bar"}, made("span", {textContent: name}), made("span", {class: "ssf-rail"}, ...fills), told);
    row.set = (text, ...shares) => {
      fills.forEach((fill, i) => { fill.style.width = `${100 * Math.min(1, shares[i])}%`; });
      told.textContent = text;
    };
    return row;
  }

  function start(root) {
    const data = window.ssfLive, small = "small" in root.dataset;
    const networks = data.networks.map(ssfNetwork.read);
    const own = networks.findIndex(n => n.model.selector && n.layers["selector.0.0"]);
    const rounds = networks.filter(n => !n.model.selector).sort((a, b) => a.record.sparsity - b.record.sparsity);
    const {channels, side, classes: count} = networks[0].model, area = side * side * channels;
    const pixels = ssfNetwork.bytes(data.images), truth = data.truth && ssfNetwork.bytes(data.truth);
    const words = networks[0].classes, first = own < 0 ? networks[0] : networks[own];
    const state = {picture: 0, network: first, kept: [], way: own < 0 ? "firing_rate" : "learned", byHand: true, drawing: false};
    let image, stemmed, ownStemmed, whole, best, result, work = 0;  // `work` changes when what is computed is out of date
    const tokens = ssfNetwork.stem(first, pixels.subarray(0, area)).tokens, grid = Math.sqrt(tokens);
    const all = () => Array.from({length: tokens}, (_, n) => n);
    root.ssfState = state;

    // ---- What is on the page

    const picture = made("select", {id: "ssf-picture"}, ...data.labels.map((label, i) =>
      made("option", {value: i, textContent: `${i + 1}: ${words[label]}`})), made("option", {value: -1, textContent: "an empty canvas: draw"}));
    const canvas = made("canvas", {width: side, height: side});
    const cells = all().map(n => made("button", {type: "button", tabIndex: n ? -1 : 0}));
    const board = made("div", {class: "ssf-board", role: "group", "aria-label": "The picture's tokens. Arrow keys move, space erases a token or brings it back."}, canvas, ...cells);
    board.style.setProperty("--grid", grid);
    const draw = made("input", {type: "checkbox"}), slider = made("input", {type: "range", min: 1, max: tokens, value: tokens});
    const kept = made("span"), whose = made("small"), about = made("p", {class: "ssf-about"}), said = made("p", {class: "ssf-said", role: "status"});
    const keepAll = made("button", {type: "button", textContent: "Keep all", title: ABOUT.all});
    const ways = Object.keys(WAYS).filter(way => (way != "learned" || own >= 0) && (way != "truth" || truth));
    const buttons = ways.map(way => made("button", {type: "button", textContent: WAYS[way], title: ABOUT[way], value: way, "aria-pressed": "false"}));
    const flip = made("button", {type: "button", textContent: "What flips the answer?", title: ABOUT.flip});
    const bars = Array.from({length: count}, (_, c) => bar(words[c]));
    const price = {macs: bar("Multiply-accumulates", 2), sops: bar("Additions for spikes", 2), energy: bar("Energy", 2)};
    const saved = made("p", {class: "ssf-saved"}), key = made("p", {class: "ssf-key"}, made("i"), " stem ", made("i"), " blocks and head");
    const reach = Object.fromEntries(["you", ...ways].map(way => [way, bar({you: "You", chance: "Chance, redrawn"}[way] || WAYS[way])]));
    const maps = made("div", {class: "ssf-maps"}), layers = made("tbody");
    const round = made("input", {type: "range", min: 0, max: Math.max(0, rounds.length - 1), value: 0});
    const roundTold = made("span"), useOwn = made("button", {type: "button", textContent: "Back to the network with the selector"});
    const row = made("p", {class: "ssf-row"});

    root.replaceChildren(
      section("picture", "The picture", made("label", {}, "Picture ", picture), ...small ? [] : [made("label", {}, draw, " draw instead of erasing")],
        board, made("label", {class: "ssf-slider"}, "Tokens kept ", slider, kept), whose, said),
      section("classes", "What it sees", ...bars),
      section("choose", "Who chooses?", made("div", {class: "ssf-buttons"}, keepAll, ...buttons, ...small ? [] : [flip]), about,
        ...small ? [] : [made("h3", {textContent: "Fewest tokens that keep the answer"}), ...Object.values(reach)]),
      ...small ? [] : [
        section("costs", "What it costs", ...Object.values(price), key, saved),
        section("network", "Which network", ...rounds.length > 1 ? [made("label", {class: "ssf-slider"}, "Pruning round ", round, roundTold)] : [],
          ...own >= 0 && rounds.length ? [useOwn] : [], row),
        section("spikes", "Where it fires", maps, made("details", {}, made("summary", {textContent: "Spikes of every layer, step by step"}),
          made("table", {}, made("thead", {}, made("tr", {}, ...["layer", "neurons", ...Array.from({length: first.model.time_steps}, (_, t) => `step ${t + 1}`)]
            .map(title => made("th", {scope: "col", textContent: title})))), layers)))]);

    // ---- Computing: what changed decides what is computed again

    function newPicture() {
      image = state.picture < 0 ? new Uint8Array(area) : pixels.slice(state.picture * area, (state.picture + 1) * area);
      state.kept = all();
      state.byHand = true;
      draw.checked = state.drawing = state.picture < 0;
      newPixels();
    }

    function newPixels() {
      const context = canvas.getContext("2d"), shown = context.createImageData(side, side);
      for (let i = 0; i < side * side; i++) {
        for (let c = 0; c < 3; c++) shown.data[4 * i + c] = image[channels == 3 ? c * side * side + i : i];
        shown.data[4 * i + 3] = 255;
      }
      context.putImageData(shown, 0, 0);
      ownStemmed = null;
      newNetwork();
    }

    function newNetwork() {
      stemmed = ssfNetwork.stem(state.network, image);
      whole = ssfNetwork.run(state.network, stemmed, all());
      whole.answer = answer(whole);
      best = null;
      for (const way of Object.keys(reach)) reach[way].set(way == "you" ? "not yet" : "…", 0);
      const {record, bits} = state.network, left = record.parameters_left / record.parameters;
      roundTold.textContent = state.network == first && own >= 0 ? "move to use the tickets" : `${round.value}: ${PERCENT.format(left)} of the parameters left, ${number(record.parameters_left)}`;
      row.replaceChildren(`Trained on pictures of ${state.network.data.replace(/ \(.*\)/, "")}. It has ${number(record.parameters_left)} parameters of ${bits} bits `
        + `and is right on ${number(100 * record.accuracy, 1)} % of the test pictures. Row `,
        document.getElementById(`row-${record.id}`) ? made("a", {href: `#row-${record.id}`, textContent: record.id}) : record.id, ".");
      useOwn.hidden = state.network == first;
      update();
      compareLater();
    }

    const answer = run => run.logits.indexOf(Math.max(...run.logits));
    const runs = chosen => ssfNetwork.run(state.network, stemmed, chosen);

    // Tokens in the order of a way to choose, those that stay longest first
    function ordered(way) {
      if (way == "truth") return ssfNetwork.order(Array.from(truth.subarray(state.picture * tokens, (state.picture + 1) * tokens)));
      if (way == "firing_rate") return ssfNetwork.order(ssfNetwork.scores(state.network, stemmed.x, tokens, way));
      if (way == "learned") {  // in the selector's own network
        ownStemmed = ownStemmed || ssfNetwork.stem(first, image);
        return ssfNetwork.order(ssfNetwork.scores(first, ownStemmed.x, tokens, way));
      }
      return ssfNetwork.order(all().map(() => Math.random()));
    }

    const usable = way => way != "truth" || state.picture >= 0;
    const firstOf = (order, n) => order.slice(0, n).sort((a, b) => a - b);

    function update(why = "") {
      result = runs(state.kept);
      const before = ssfNetwork.costs(stemmed.log), order = WAYS[state.way] || WAYS[ways[0]];
      const chances = ssfNetwork.softmax(result.logits), top = answer(result), gone = tokens - state.kept.length;
      Object.assign(state, {logits: Array.from(result.logits), answer: words[top], macs: result.macs, sops: result.sops, energy: result.energy});
      bars.forEach((b, c) => { b.set(PERCENT.format(chances[c]), chances[c]); b.classList.toggle("ssf-top", c == top); });
      for (const [name, unit, scale, digits] of [["macs", "million", 1e6, 2], ["sops", "thousand", 1e3, 0], ["energy", "µJ", 1, 2]])
        price[name].set(`${number(result[name] / scale, digits)} ${unit}`, before[name] / whole[name], (result[name] - before[name]) / whole[name]);
      saved.textContent = gone ? `The stem costs what it did. The blocks and the head need ${PERCENT.format(1 - (result.macs - before.macs) / (whole.macs - before.macs))} fewer multiply-accumulates.`
        : `The stem takes ${PERCENT.format(before.macs / whole.macs)} of the multiply-accumulates. Dropping tokens saves only in the blocks.`;
      const on = new Set(state.kept);
      cells.forEach((cell, n) => {
        cell.setAttribute("aria-pressed", on.has(n));
        cell.setAttribute("aria-label", `Row ${Math.floor(n / grid) + 1}, column ${n % grid + 1}: ${on.has(n) ? "kept" : "erased"}`);
      });
      slider.value = state.kept.length;
      kept.textContent = `${state.kept.length} of ${tokens}`;
      whose.textContent = !gone ? `The slider drops tokens in the order of “${order}”.` : state.byHand ? `Chosen by hand. The slider takes the order of “${order}”.`
        : state.way == "flip" ? "Left over by the search." : `In the order of “${order}”.`;
      about.textContent = ABOUT[state.byHand ? "none" : state.way];
      buttons.forEach(b => { b.disabled = !usable(b.value); b.setAttribute("aria-pressed", !state.byHand && state.way == b.value); });
      const same = top == whole.answer, drawn = state.picture < 0;
      if (state.byHand && gone && same && !drawn && (best == null || state.kept.length < best)) {
        best = state.kept.length;
        reach.you.set(`${best}`, best / tokens);
      }
      said.textContent = why || (gone ? `${state.kept.length} of ${tokens} tokens: ${words[top]}, ${PERCENT.format(chances[top])}. `
        + (same ? "The answer is kept." : `With all tokens it was ${words[whole.answer]}.`)
        + ` ${PERCENT.format(1 - result.macs / whole.macs)} of the multiply-accumulates are saved.`
        : `All ${tokens} tokens: ${words[top]}, ${PERCENT.format(chances[top])}.` + (drawn ? "" : ` The picture shows: ${words[data.labels[state.picture]]}.`));
      if (!small) showSpikes();
    }

    // Each block's spikes by token and step, the brighter the more, and all layers' in a table
    function showSpikes() {
      const {width, time_steps} = state.network.model;
      const stages = [{x: stemmed.x, left: all(), name: "After the stem"}, ...result.streams.map((s, i) => ({...s, name: `After block ${i + 1}`}))];
      maps.replaceChildren(...stages.map(stage => made("figure", {}, made("figcaption", {textContent: stage.name}), ...Array.from({length: time_steps}, (_, t) => {
        const map = made("canvas", {width: grid, height: grid, role: "img", "aria-label": `${stage.name}, step ${t + 1}: spikes of each token`});
        const context = map.getContext("2d"), spikes = stage.left.map((_, i) => stage.x[t].subarray(i * width, (i + 1) * width).reduce((a, b) => a + b, 0));
        const most = Math.max(1, ...spikes);
        stage.left.forEach((n, i) => {
          const share = spikes[i] / most;  // from black to the colour of spikes
          context.fillStyle = `rgb(${[86, 180, 233].map(c => 17 + share * (c - 17)).join(" ")})`;
          context.fillRect(n % grid, Math.floor(n / grid), 1, 1);
        });
        return made("div", {}, map, made("small", {textContent: `step ${t + 1}: up to ${number(Math.max(0, ...spikes))} spikes`}));
      }))));
      layers.replaceChildren(...result.log.filter(line => line.spikes).map(line => made("tr", {},
        made("th", {scope: "row", textContent: line.name}), ...[line.neurons, ...line.spikes].map(n => made("td", {textContent: number(n)})))));
    }

    // How few tokens each way needs: one token less at a time, until the answer changes
    async function compareLater() {
      const mine = ++work;
      if (small) return;
      await new Promise(done => setTimeout(done, 300));
      for (const way of ways) {
        if (mine != work) return;
        if (!usable(way)) { reach[way].set("unknown", 0); continue; }
        const order = ordered(way);
        let n = tokens;
        while (n > 1 && answer(runs(firstOf(order, n - 1))) == whole.answer) {
          n--;
          if (n % 4 == 0) await pause();
          if (mine != work) return;
        }
        reach[way].set(`${n}`, n / tokens);
      }
      root.dataset.compared = "yes";
    }

    // The token whose loss hurts the answer most, and again, until another class wins
    async function flips() {
      const mine = ++work;
      let left = all(), now = whole;
      flip.disabled = true;
      said.textContent = "Searching for the tokens whose loss flips the answer…";
      about.textContent = ABOUT.flip;
      while (answer(now) == whole.answer && left.length > 1) {
        let worst = null;
        for (const [i, n] of left.entries()) {
          const without = left.filter(other => other != n), run = runs(without);
          const rivals = Math.max(...run.logits.filter((_, c) => c != whole.answer)), margin = run.logits[whole.answer] - rivals;
          if (!worst || margin < worst.margin) worst = {without, run, margin};
          if (i % 4 == 0) await pause();
          if (mine != work) { flip.disabled = false; return; }
        }
        ({without: left, run: now} = worst);
      }
      flip.disabled = false;
      state.kept = left;
      state.byHand = false;
      state.way = "flip";
      const lost = tokens - left.length;
      update(`Losing ${lost} ${lost == 1 ? "token" : "tokens"} of ${tokens} turns ${words[whole.answer]} into ${words[answer(now)]}.`);
      compareLater();
    }

    // ---- Hands: pointer, keys, buttons

    function set(n, stays) {
      if (state.drawing) return paint(n);
      const on = new Set(state.kept);
      if (on.has(n) == stays || !stays && on.size == 1) return;
      on[stays ? "add" : "delete"](n);
      state.kept = all().filter(token => on.has(token));
      update();
    }

    function paint(n, at) {
      const patch = side / grid, [x, y] = at || [(n % grid + 0.5) * patch, (Math.floor(n / grid) + 0.5) * patch], brush = 1.6;
      for (let r = 0; r < side; r++) for (let c = 0; c < side; c++)
        if ((r + 0.5 - y) ** 2 + (c + 0.5 - x) ** 2 < brush ** 2) for (let k = 0; k < channels; k++) image[k * side * side + r * side + c] = 255;
      newPixels();
    }

    let stays = null;  // while a pointer is down: what it makes of the tokens that it touches
    const under = event => {
      const box = board.getBoundingClientRect(), x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
      return x < 0 || y < 0 || x >= 1 || y >= 1 ? null : {n: Math.floor(y * grid) * grid + Math.floor(x * grid), at: [x * side, y * side]};
    };
    const touch = event => {
      const place = under(event);
      if (place) state.drawing ? paint(place.n, place.at) : set(place.n, stays);
    };
    board.addEventListener("pointerdown", event => {
      const place = under(event);
      if (!place) return;
      event.preventDefault();
      board.setPointerCapture(event.pointerId);
      if (state.kept.length == tokens) state.byHand = true;
      stays = !state.kept.includes(place.n);
      touch(event);
    });
    board.addEventListener("pointermove", event => { if (stays != null) touch(event); });
    for (const kind of ["pointerup", "pointercancel"]) board.addEventListener(kind, () => { stays = null; });
    board.addEventListener("keydown", event => {
      const at = cells.indexOf(document.activeElement), step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -grid, ArrowDown: grid}[event.key];
      if (at < 0) return;
      if (event.key == " " || event.key == "Enter") {
        event.preventDefault();
        if (state.kept.length == tokens) state.byHand = true;
        set(at, !state.kept.includes(at));
      }
      if (!step || !cells[at + step] || Math.abs(step) == 1 && Math.floor((at + step) / grid) != Math.floor(at / grid)) return;
      event.preventDefault();
      cells[at].tabIndex = -1;
      cells[at + step].tabIndex = 0;
      cells[at + step].focus();
    });
    const apply = n => {
      state.byHand = false;
      if (!WAYS[state.way] || !usable(state.way)) state.way = ways[0];
      state.kept = firstOf(ordered(state.way), n);
      update();
    };
    buttons.forEach(button => button.addEventListener("click", () => {
      const usual = first.model.selector ? first.model.selector.counts[0] : tokens >> 1;
      state.way = button.value;
      apply(state.kept.length == tokens ? usual : state.kept.length);
    }));
    keepAll.addEventListener("click", () => { state.kept = all(); state.byHand = true; update(); });
    flip.addEventListener("click", flips);
    slider.addEventListener("input", () => apply(+slider.value));
    draw.addEventListener("change", () => { state.drawing = draw.checked; });
    picture.addEventListener("change", () => { state.picture = +picture.value; newPicture(); });
    round.addEventListener("input", () => { state.network = rounds[round.value]; newNetwork(); });
    useOwn.addEventListener("click", () => { state.network = first; newNetwork(); });
    picture.value = state.picture = surest();
    newPicture();
    root.dataset.ready = "yes";
    if (small && !matchMedia("(prefers-reduced-motion: reduce)").matches) playFirst();

    // The picture to start with: the one whose class the network is surest of
    function surest() {
      const sure = data.labels.map((label, i) => {
        const own = ssfNetwork.stem(first, pixels.subarray(i * area, (i + 1) * area));
        return ssfNetwork.softmax(ssfNetwork.run(first, own, all()).logits)[label];
      });
      return sure.indexOf(Math.max(...sure));
    }

    // In small: the picture loses the tokens that fire least, until a reader takes over
    function playFirst() {
      state.way = "firing_rate";
      const least = first.model.selector ? first.model.selector.counts[0] : tokens >> 1;
      const step = () => {
        if (state.kept.length <= least || root.dataset.touched) return;
        apply(state.kept.length - 1);
        setTimeout(step, 90);
      };
      for (const kind of ["pointerdown", "keydown"]) root.addEventListener(kind, () => { root.dataset.touched = "yes"; }, true);
      setTimeout(step, 1200);
    }
  }

  const seen = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(({target}) => {
    seen.unobserve(target);
    start(target);
  }), {rootMargin: "100px"});
  document.querySelectorAll(".ssf-live").forEach(root => seen.observe(root));
})();
