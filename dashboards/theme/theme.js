// The dark mode of the page and of files. It is the system's until the reader chooses; the browser keeps the choice.
const THEME_KEY = "continual-mt-theme";  // the id of the page's dcc.Store, which keeps its value under it
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");

function keptTheme() {
  try {
    return JSON.parse(localStorage.getItem(THEME_KEY));
  } catch {  // a browser may deny storage to files
    return null;
  }
}

const systemTheme = () => (systemIsDark.matches ? "dark" : "light");

function show(theme) {
  document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll(".theme-switch")) {
    button.setAttribute("aria-pressed", theme === "dark");
  }
  return theme;
}

// The theme to keep after a click on the switch: none if it is the system's, which is then followed again.
function switchedTheme(kept) {
  const other = (kept ?? systemTheme()) === "dark" ? "light" : "dark";
  return other === systemTheme() ? null : other;
}

// A copy of a figure, or of any part of it, with every light colour of the palette replaced by its dark one.
function recoloured(part, theme) {
  if (theme !== "dark") return part;
  if (typeof part === "string") return DARK_OF_LIGHT[part] ?? part;
  if (Array.isArray(part)) return part.map(each => recoloured(each, theme));
  if (part === null || typeof part !== "object" || ArrayBuffer.isView(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, recoloured(value, theme)]));
}

show(keptTheme() ?? systemTheme());

// What the page's callbacks use.
window.dash_clientside = Object.assign({}, window.dash_clientside, {
  theme: {
    switched: (clicks, kept) => (clicks ? switchedTheme(kept) : window.dash_clientside.no_update),
    shown: kept => show(kept ?? systemTheme()),
    drawn: (figure, theme) => figure && recoloured(figure, theme),
  },
});
systemIsDark.addEventListener("change", () => {
  if (keptTheme() !== null) return;
  if (document.querySelector("script.figures")) showInFile(systemTheme());
  else window.dash_clientside.set_props("look", {data: show(systemTheme())});
});

// Files have no callbacks: a click on the switch redraws their charts, which were drawn for a light background.
function showInFile(theme) {
  show(theme);
  for (const chart of document.querySelectorAll(".js-plotly-plot")) {
    chart.light ??= {data: chart.data, layout: chart.layout};
    Plotly.react(chart, recoloured(chart.light.data, theme), recoloured(chart.light.layout, theme));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  if (!document.querySelector("script.figures")) return;
  let kept = keptTheme();
  if ((kept ?? systemTheme()) === "dark") showInFile("dark");
  document.querySelector(".theme-switch")?.addEventListener("click", () => {
    kept = switchedTheme(kept);
    try {
      localStorage.setItem(THEME_KEY, JSON.stringify(kept));
    } catch {
      // The choice then holds until the file is closed.
    }
    showInFile(kept ?? systemTheme());
  });
});
