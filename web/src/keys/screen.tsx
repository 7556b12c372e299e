// Who may ask, for what, until when.
import { useState } from "preact/hooks";
import { get } from "../api/client";
import { mayChange } from "../api/session";
import type { Key } from "../api/types";
import { useLoad } from "../base/load";
import { LoadPanel } from "../parts/panel";
import { words } from "../words";
import { CreateDialog, OnceDialog, type Made } from "./create_form";
import { KeyRow } from "./key_row";

const kMost = 1000;

export function KeysScreen() {
  const w = words();
  const load = useLoad((signal) => get<{ keys: Key[] }>("/admin/v1/keys", { limit: kMost }, signal), []);
  const [isCreating, setCreating] = useState(false);
  const [made, setMade] = useState<Made | undefined>(undefined);
  const heads = [w.keys.name, w.keys.scope, w.keys.limits, w.keys.lastUsed, w.keys.expiresAt, w.keys.state];
  const show = (one: Made): void => {
    setCreating(false);
    setMade(one);
  };
  const isFirst = load.value?.keys.length === 0;
  return (
    <>
      <div class="screen-head">
        <h1>{w.keys.title}</h1>
        {mayChange() && (
          <button type="button" class="primary" onClick={() => setCreating(true)}>{w.keys.create}</button>
        )}
      </div>
      {isFirst && <p class="panel waking">{w.keys.firstKey}</p>}
      <LoadPanel title={w.keys.all} load={load} isEmpty={(found) => found.keys.length === 0} empty={w.keys.empty} isTall>
        {(found) => (
          <div class="table-frame" tabIndex={0} role="group" aria-label={w.keys.title}>
            <table class="stacks">
              <thead>
                <tr>
                  {heads.map((head) => <th key={head} scope="col">{head}</th>)}
                  <th scope="col"><span class="hidden-text">{w.overview.more}</span></th>
                </tr>
              </thead>
              <tbody>
                {[...found.keys].sort((a, b) => Number(a.revoked_us !== null) - Number(b.revoked_us !== null)).map((key) => (
                  <KeyRow key={key.kid} key_={key} made={show} again={load.again} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </LoadPanel>
      {isCreating && <CreateDialog made={show} close={() => setCreating(false)} />}
      {made !== undefined && (
        <OnceDialog made={made} close={() => {
          setMade(undefined);
          load.again();
        }} />
      )}
    </>
  );
}
