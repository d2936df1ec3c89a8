// A client made of the schema: signs up, signs in and calls a protected route; every name and type is the schema's.
import createClient from "openapi-fetch";
import type { components, paths } from "./made/schema.d.ts";

type Code = NonNullable<components["schemas"]["StackAuthProblem"]["code"]>;

const api = createClient<paths>({ baseUrl: process.argv[2] });
const body = { email: "ada@example.com", password: "correct horse battery" };

const signedUp = await api.POST("/api/auth/password/sign-up", { body });
if (!signedUp.data) throw new Error(`sign-up: ${signedUp.error?.code}`);
const signedIn = await api.POST("/api/auth/password/sign-in", { body });
if (!signedIn.data) throw new Error(`sign-in: ${signedIn.error?.code}`);
const token: string = signedIn.data.access_token;

const me = await api.GET("/api/me", { headers: { authorization: `Bearer ${token}` } });
if (me.data?.email !== body.email) throw new Error("who is calling?");

const nobody = await api.GET("/api/me");
if (!nobody.error) throw new Error("nobody was let in");
const code: Code = nobody.error.code;
if (code !== "authentication_required") throw new Error(`nobody: ${code}`);

const wrong = await api.POST("/api/auth/password/sign-in", { body: { ...body, password: "wrong horse battery" } });
if (wrong.error?.code !== "EMAIL_PASSWORD_MISMATCH") throw new Error(`wrong password: ${wrong.error?.code}`);
console.log("ok typescript: signs up, signs in, calls a protected route, knows its errors");
