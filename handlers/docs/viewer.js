/** Starts Swagger UI. A login that is tried there signs the reader in, until the page is left. */

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

const labelled = (createElement, text) => (Original) => (props) =>
  createElement("label", null, createElement("span", { className: "quiet" }, text), createElement(Original, props));

/** What axe-core would complain of: fields without labels, a link inside a button, and a choice among one server. */
const accessible = ({ React: { createElement } }) => ({
  wrapComponents: {
    DeepLink: () => ({ text }) => createElement("span", null, text),
    ServersContainer: () => () => null,
    ExamplesSelect: labelled(createElement, "Example"),
    TextArea: labelled(createElement, "Value"),
  },
});

const viewer = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  plugins: [accessible],
  responseInterceptor: (response) => {
    const { pathname } = new URL(response.url, location);
    if (response.ok && pathname === "/login") viewer.preauthorizeApiKey("token", JSON.parse(response.text).token);
    if (response.ok && pathname === "/logout") viewer.authActions.logout(["token"]);
    return response;
  },
});
