import pytest

from tests.kube.manifests.folder import complain


def test_fields_that_are_misspelt_are_told() -> None:
    text = """\
kind: Service
metadata:
  name: web
  namspace: shop
spec:
  clusterIp: None
  ports:
  - port: 80
  - {prot: 81, port: 81, targetport: 8080}
---
kind: Deployment
metadata: {name: web}
Spec: {}
spec:
  template: {spec: {containers: [{ports: [{containerPort: 80, Name: http}]}]}}
"""
    web, more = "Service default/web has", "Deployment default/web has"
    assert complain(text) == (
        f"0.yaml:5: {web} metadata.namspace, which is passed over: is namespace meant?",
        f"0.yaml:7: {web} spec.clusterIp, which is passed over: is clusterIP meant?",
        f"0.yaml:10: {web} spec.ports.targetport, which is passed over: is targetPort meant?",
        f"0.yaml:17: {more} spec.template.spec.containers.ports.Name, which is passed over: is name meant?",
    )


@pytest.mark.parametrize(
    ("kind", "template", "names"),
    [
        (
            "Namespace",
            "metadata: {name: web, %s}",
            """
            annotations creationTimestamp deletionGracePeriodSeconds finalizers generateName generation
            managedFields resourceVersion selfLink uid
            """,
        ),
        (
            "Namespace",
            "metadata: {name: web, ownerReferences: [{%s}]}",
            """
            apiVersion blockOwnerDeletion controller uid
            """,
        ),
        (
            "Service",
            "metadata: {name: web}\nspec: {%s}",
            """
            allocateLoadBalancerNodePorts externalIPs externalTrafficPolicy healthCheckNodePort
            internalTrafficPolicy loadBalancerClass loadBalancerIP loadBalancerSourceRanges sessionAffinity
            sessionAffinityConfig trafficDistribution
            """,
        ),
        (
            "Service",
            "metadata: {name: web}\nspec: {ports: [{port: 80, %s}]}",
            """
            appProtocol nodePort
            """,
        ),
        (
            "EndpointSlice",
            "metadata: {name: web}\nendpoints: [{%s}]",
            """
            deprecatedTopology hints nodeName zone
            """,
        ),
        (
            "EndpointSlice",
            "metadata: {name: web}\nendpoints: [{conditions: {%s}}]",
            """
            serving terminating
            """,
        ),
        (
            "EndpointSlice",
            "metadata: {name: web}\nendpoints: [{targetRef: {%s}}]",
            """
            apiVersion fieldPath kind namespace resourceVersion uid
            """,
        ),
        (
            "EndpointSlice",
            "metadata: {name: web}\nports: [{%s}]",
            """
            appProtocol
            """,
        ),
        (
            "Endpoints",
            "metadata: {name: web}\nsubsets: [{%s}]",
            """
            notReadyAddresses
            """,
        ),
        (
            "Pod",
            "metadata: {name: web}\nspec: {%s}",
            """
            activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks
            ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostnameOverride
            imagePullSecrets nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName
            readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName
            schedulingGates securityContext serviceAccount serviceAccountName setHostnameAsFQDN
            shareProcessNamespace terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes
            """,
        ),
        (
            "Pod",
            "metadata: {name: web}\nspec: {containers: [{%s}]}",
            """
            args command env envFrom image imagePullPolicy lifecycle livenessProbe name readinessProbe
            resizePolicy resources restartPolicyRules securityContext startupProbe stdin stdinOnce
            terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir
            """,
        ),
        (
            "Pod",
            "metadata: {name: web}\nspec: {containers: [{ports: [{containerPort: 80, %s}]}]}",
            """
            hostIP hostPort
            """,
        ),
        (
            "Pod",
            "metadata: {name: web}\nstatus: {%s}",
            """
            containerStatuses ephemeralContainerStatuses hostIP hostIPs initContainerStatuses message
            nominatedNodeName observedGeneration qosClass reason resize resourceClaimStatuses startTime
            """,
        ),
        (
            "Pod",
            "metadata: {name: web}\nstatus: {conditions: [{%s}]}",
            """
            lastProbeTime lastTransitionTime message reason
            """,
        ),
        (
            "StatefulSet",
            "metadata: {name: web}\nspec: {template: {}, %s}",
            """
            minReadySeconds paused persistentVolumeClaimRetentionPolicy podManagementPolicy
            progressDeadlineSeconds revisionHistoryLimit selector strategy updateStrategy volumeClaimTemplates
            """,
        ),
    ],
)
def test_no_field_of_the_api_is_taken_for_another(kind: str, template: str, names: str) -> None:
    fields = ", ".join(f"{name}: null" for name in names.split())
    assert not [each for each in complain(f"kind: {kind}\n{template % fields}\n") if "passed over" in each]
