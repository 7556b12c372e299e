// What a deployment's instances wrote: the end of their log file.
import { useEffect, useState } from "preact/hooks";
import { deploymentPath, getText } from "../api/client";
import { useLoad } from "../base/load";
import { CheckField } from "../parts/field";
import { LoadPanel } from "../parts/panel";
import { words } from "../words";

const kEveryMs = 2000;

export function InstanceLog({ deployment }: { deployment: string }) {
  const w = words();
  const [isFollowing, setFollowing] = useState(false);
  const load = useLoad((signal) => getText(deploymentPath(deployment, "logs"), signal), [deployment]);
  const { again } = load;
  useEffect(() => {
    if (!isFollowing) return;
    const timer = setInterval(() => {
      if (!document.hidden) again();
    }, kEveryMs);
    return () => clearInterval(timer);
  }, [isFollowing]);
  return (
    <LoadPanel title={w.logs.instance} hint={deployment} load={load} isTall isEmpty={(text) => text.trim() === ""}
      empty={w.logs.emptyLog} actions={
        <>
          <CheckField isOn={isFollowing} set={setFollowing}>{w.logs.follow}</CheckField>
          <button type="button" onClick={again}>{w.common.refresh}</button>
        </>
      }>
      {(text) => <pre class="code wrap log" tabIndex={0} role="log" aria-label={w.logs.instance}>{text}</pre>}
    </LoadPanel>
  );
}
