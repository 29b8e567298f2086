/** Starts Swagger UI. A login that is tried there signs the reader in, until the page is left. */

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

const viewer = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#viewer",
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  responseInterceptor: (response) => {
    const { pathname } = new URL(response.url, location);
    if (response.ok && pathname === "/login") viewer.preauthorizeApiKey("token", JSON.parse(response.text).token);
    if (response.ok && pathname === "/logout") viewer.authActions.logout(["token"]);
    return response;
  },
});
