// Answers typed on a page: read, and judged by the rules of ssf/figures/exercises.toml, as
// ssf/figures/exercises.py judges them in a notebook. No server is asked.
(() => {
  const NTH = ["first", "second", "third", "fourth"];
  const listed = x => Array.isArray(x) ? x : [x];

  // "0,67", "2/3", "67 %", "−1.5", "4,900" and "466 million" are numbers; anything else is none
  function number(text, unit) {
    text = text.trim().replace(/[−–]/g, "-").replace(/^[≈~]\s*/, "");
    text = /^-?[1-9]\d{0,2}(,\d{3})+(?!\d)/.test(text) ? text.replace(/,/g, "") : text.replace(",", ".");
    const parts = text.match(/^([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(?:\s*\/\s*(\d+\.?\d*))?\s*(%?)\s*([a-zµ]*)$/i);
    if (!parts || parts[4] && !(unit || "").startsWith(parts[4])) throw new TypeError(text);
    return parts[1] / (parts[2] || 1) / (parts[3] && unit != "%" ? 100 : 1);
  }

  // "8, 5" and "(8; 0,5)" are two parts, "{0, 3}" is a set, "none" the empty one
  function split(text) {
    text = text.trim().replace(/^(set)?[({[]|[)}\]]$/g, "").trim();
    if (/^(none|nothing|∅)?$/i.test(text)) return [];
    return text.split(text.includes(";") ? ";" : /,\s*|\s+and\s+/).filter(part => part.trim());
  }

  // What was typed, a text or one for each field, as the parts of an answer
  function read(rule, typed) {
    const truth = listed(rule.values.truth), several = rule.set || truth.length > 1;
    const parts = Array.isArray(typed) ? typed : several ? split(typed) : [typed];
    const named = typeof truth[0] == "string";
    return parts.map(part => named ? part.trim() : number(part, rule.unit));
  }

  const alike = (a, b, within) =>
    typeof b == "string" ? a.toLowerCase() == b.toLowerCase() : Math.abs(a - b) <= within + 1e-9;

  function holds(rule, got, verb, wanted) {
    const named = {...rule.values};
    got.slice(0, NTH.length).forEach((part, i) => { named[NTH[i]] = part; });
    if (verb == "wrong") {
      const truth = Array(wanted - 1).fill("_").concat(listed(named.truth)[wanted - 1]);
      return !holds(rule, got, "is", truth);
    }
    const value = x => typeof x == "string" && x in named ? named[x] : x;
    wanted = listed(value(wanted)).map(value);
    if (rule.set) {
      const more = got.some(x => !wanted.includes(x)), fewer = wanted.some(x => !got.includes(x));
      return {is: !more && !fewer, has: got.some(x => wanted.includes(x)), extra: more, missing: fewer}[verb];
    }
    const near = i => Array.isArray(rule.within) ? rule.within[i] : rule.within;
    const verbs = {above: (a, b) => a > b, below: (a, b) => a < b, is: alike};
    return wanted.slice(0, got.length).every((b, i) => b === "_" || verbs[verb](got[i], b, near(i)));
  }

  // Whether what was typed is right, and the sentence that it gets
  function judged(rule, typed) {
    const truth = listed(rule.values.truth);
    try {
      const got = read(rule, typed);
      if (!rule.set && got.length != truth.length) throw new TypeError(typed);
      for (const told of [{is: "truth", say: rule.say}, ...rule.hints])
        if (Object.keys(told).every(verb => verb == "say" || holds(rule, got, verb, told[verb])))
          return [told.is === "truth", told.say];
      if (rule.set) return [false, got.every(x => truth.includes(x)) ? "one is missing." : "one does not belong."];
      const wrong = truth.findIndex((_, i) => holds(rule, got, "wrong", i + 1));
      if (typeof truth[wrong] == "string") return [false, "look again at what is asked."];
      const part = truth.length > 1 ? `the ${NTH[wrong]} is ` : "";
      return [false, part + (got[wrong] > truth[wrong] ? "too large." : "too small.")];
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return [false, `asked for is ${listed(rule.asks).join("; ")}.`];
    }
  }

  if (typeof document == "undefined") return module.exports = {judged};

  function made(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // A field with its label: a text to type, a choice, or for a set a box for each option
  function field(rule, label) {
    if (rule.options && rule.set) {
      const boxes = rule.options.map(o => made("label", {}, made("input", {type: "checkbox", value: o}), ` ${o}`));
      return made("fieldset", {}, made("legend", {textContent: label}), ...boxes);
    }
    const options = ["", ...rule.options || []].map(o => made("option", {value: o, textContent: o || "choose…"}));
    const entry = rule.options ? made("select", {}, ...options)
      : made("input", {type: "text", autocomplete: "off", spellcheck: false, size: 8});
    return made("label", {}, `${label} `, entry, rule.unit ? ` ${rule.unit}` : "");
  }

  function answer(rule, form) {
    const boxes = form.querySelectorAll("[type=checkbox]"), entries = form.querySelectorAll("[type=text], select");
    if (boxes.length) return [...boxes].filter(box => box.checked).map(box => box.value);
    return entries.length > 1 ? [...entries].map(entry => entry.value) : entries[0].value;
  }

  for (const place of document.querySelectorAll(".ask:not(:has(form))")) {
    const rule = JSON.parse(place.querySelector("script").textContent), asks = listed(rule.asks);
    const line = each => asks.length > 1 ? each[0].toUpperCase() + each.slice(1) : `Your answer, ${each}`;
    const fields = asks.map(each => field(rule, `${line(each)}:`));
    const said = made("output", {}), form = made("form", {}, ...fields, made("button", {textContent: "Check"}), said);
    said.setAttribute("role", "status");
    form.addEventListener("submit", event => {
      event.preventDefault();
      const typed = answer(rule, form), empty = listed(typed).some(part => !part.trim());
      const [right, sentence] = empty ? [false, "fill in every field first."] : judged(rule, typed);
      said.replaceChildren(made("strong", {textContent: right ? "Right: " : "Not yet: "}), sentence);
    });
    place.append(form);
  }
})();
