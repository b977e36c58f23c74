// Light and dark, by a button with the id `theme`.

const themes = { auto: "Auto", light: "Light", dark: "Dark" };

function showTheme(name) {
  const theme = name in themes ? name : "auto";
  document.documentElement.dataset.theme = theme;
  $("theme-name").textContent = themes[theme];
  $("theme").setAttribute("aria-label", `Colours: ${themes[theme]}`);
}

$("theme").addEventListener("click", () => {
  const names = Object.keys(themes);
  const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
  preferences.write("theme", next);
  showTheme(next);
});
showTheme(preferences.read("theme"));
