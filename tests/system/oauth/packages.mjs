// The packages of NPM_MODULES that the scripts of this folder use.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const from = (path) => import(pathToFileURL(join(process.env.NPM_MODULES, path)).href);

export const oauth = await from("oauth4webapi/build/index.js");
export const jose = await from("jose/dist/webapi/index.js");
