/* Everything on the page, once; and again in other colours where the theme changes. */

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function setTheme() {
  const chosen = byId("theme").value;
  document.documentElement.dataset.theme = chosen === "auto" ? (systemDark.matches ? "dark" : "light") : chosen;
}

async function changeTheme() {
  setTheme();
  await drawAll();
}

setTheme();
showRest();
showFigures();
showSlices();
showCertificates();
showPromises();
showEvidence();
startThreshold();
startAnswers();
showAnswers();
showAdvice();
showPoint();
byId("theme").addEventListener("change", changeTheme);
systemDark.addEventListener("change", changeTheme);
drawAll().then(() => document.documentElement.setAttribute("data-drawn", "true"));
