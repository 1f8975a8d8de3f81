/* Charts with controls (ssf.figures.controls) on a page: its colours, light or dark, and the width of its text. */
(() => {
  // In pixels: TALL is a square at most, SCREEN a chart, so that a control and all that it changes fit on one screen.
  const INK = "#222222", LOW = 60, TALL = 420, SCREEN = 640;
  const ink = {labelColor: "currentColor", titleColor: "currentColor", domainColor: "currentColor", tickColor: "currentColor"};

  // Colours as variables of book.css, which the theme's button changes.
  const coloured = spec => {
    const text = JSON.stringify(spec).replaceAll(`"${INK}"`, '"currentColor"')
      .replace(/"#([0-9a-f]{6})"/g, '"var(--c-$1, #$1)"');
    const {config = {}, ...rest} = JSON.parse(text);
    return {...rest, background: null, config: {...config, axis: {...ink, labelFontSize: 12, titleFontSize: 13, ...config.axis},
      legend: {...ink, labelFontSize: 12, ...config.legend}, title: {color: "currentColor", ...config.title},
      text: {color: "currentColor"}, rule: {color: "currentColor"}}};
  };

  const views = spec => [spec, ...["vconcat", "hconcat", "layer"].flatMap(kind => (spec[kind] ?? []).flatMap(views))];
  const squared = spec => views(spec).some(view => view.encoding?.x?.axis === null || view.mark?.type == "image");

  // A view k times as wide. Grids and pictures keep their shape, others grow little in height, lines of text not at all.
  const scaled = (spec, k, shaped) => {
    shaped ||= squared(spec) && !spec.vconcat && !spec.hconcat;
    const high = shaped ? k : Math.min(k, 1.4), out = {...spec};
    for (const kind of ["vconcat", "hconcat", "layer"]) if (spec[kind]) out[kind] = spec[kind].map(view => scaled(view, k, shaped));
    if (spec.width > 0) out.width = Math.round(spec.width * k);
    if (spec.height > LOW) out.height = Math.round(spec.height * high);
    if (spec.mark?.type == "image") {
      out.mark = {...spec.mark, width: spec.mark.width * k, height: spec.mark.height * k};
      const at = place => ({...place, ...(place?.value > 0 && {value: place.value * k})});
      out.encoding = {...spec.encoding, x: at(spec.encoding.x), y: at(spec.encoding.y)};
    }
    return out;
  };

  window.showChart = async (place, spec) => {
    const box = document.querySelector(place), options = {renderer: "svg", actions: false};
    const themed = coloured(spec), room = Math.min(box.clientWidth, 720);
    const first = await vegaEmbed(box, themed, options);
    const all = views(themed), width = Math.max(...all.map(view => view.width || 0));
    const whole = box.querySelector("svg").viewBox.baseVal, beside = whole.width - width;
    const tallest = Math.max(1, ...all.filter(squared).map(view => view.height || 0));
    const k = Math.min((room - beside) / width, TALL / tallest, Math.max(1, SCREEN / whole.height));
    if (!(k > 0.5) || Math.abs(k - 1) < 0.02) return first;
    first.finalize();
    return vegaEmbed(box, scaled(themed, k), options);
  };
})();
