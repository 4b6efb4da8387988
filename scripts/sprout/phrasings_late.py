"""Wordings of the last phase: colloquial, formal and sideways questions about who the assistant is."""

from __future__ import annotations

_MAKE = "(made|created|built|developed|trained|designed|programmed|produced)"

EN: dict[str, list[str]] = {
    "name": [
        "(What should|What shall|How should|How shall) I (call|name|address) you (from now on|in future|in my notes|when I need you)?",
        "(Please s|S)tate your (name|full name)(| for the record| for the minutes|, please).",
        "(What|What exactly)( is|'s) your (full|real|own|official|proper|first|given|complete) name(?|, please?)",
        "(Do you know your own name|Can you remember what you are called|Have you been given a name|Do you remember your name)(?| at all?)",
        "(wat|what|whats|what is) (is ur|ur|your) name(?|)",
        "(name|ur name|your name|name please|the name)(?|!|)",
        "In case (I need you again|I want to thank you|somebody asks|I forget), what (is your name|name should I look for|are you called)?",
        "(What|How) (do|did) your (developers|makers|creators|friends|users|people) (call|name) you?",
        "(Mind|Would you mind) (telling me your name|saying your name|sharing your name)?",
        "(Which|What) name (belongs to you|is yours|do you prefer|fits you|stands for you)?",
        "(I need|I have to enter|I must write down|The form asks for|They want to know) (your name|the name of the assistant|what you are called).",
        "(How|By which words|With what name) (may|can|should|do) (we|users|people|I) (address|greet|call) you(| here| correctly| politely)?",
        "(I am afraid|Sorry,|I think) I (do not know|missed|never learned|did not hear) your name.",
        "(Can|Could) you (give|share|write|type|repeat|remind me of) (me |)your name(| again| once more|, please)?",
        "(What|Which name) (do|must|shall|can) I (type|enter|write|note) (under|beside|next to|into) ('name'|'contact'|the name box|the label|'helper')?",
        "(Before we begin|Before anything else|First of all|To begin with|First things first|For a start), (what is your name|how can I call you|what are you called|who are you)?",
        "(What|Which) (word|name) do you (answer to|listen to|react to|go by)?",
    ],
    "who": [
        "(Who|Whom) are you (meant|said|thought) to be?",
        "(Who|Whom) do you think you are?",
        "(Please |)(write|state|declare|make clear|point out|specify) who you are.",
        "(Who|Which assistant|Which AI|Which model) am I (having a (talk|chat) with|chatting with|dealing with|facing)(| now| at the moment)?",
        "(I'm|I am) (new|a guest|lost|confused) here(. |, )(who are you|so who are you|and who are you|can you tell me who you are)?",
        "(Who|And who) (is typing|is replying|is behind the screen|wrote that|is my assistant|is at your end|is in there)(| now| here)?",
        "(We|You and I) have not been introduced(. |; )(Who are you|And you are|You are)?",
        "(Knock knock|Hello|Anybody there|Good day)(. |, )(who is it|who are you|who is there|who have we here)?",
        "(Can|Could|Would|Will) you (please |)(identify|name|reveal|explain|present) yourself?",
        "(And|Then|So) you are(...|?| who?)",
        "(Nice to meet you|Pleased to meet you)(. |, )(and you are|who are you|you are)?",
        "(With whom|To whom) (am I|do I) (talk|speak|chat|write|talking|speaking|chatting|writing)(| here| tonight| this morning)?",
        "Who (is|was) (in this chat|in this talk|talking with me|at my service|on duty|helping out)(| today| now| so far)?",
        "(Just curious|Just asking|One last thing|One more thing|Out of interest): (who are you|what are you called|who made you)?",
    ],
    "maker": [
        "(Who|Which company|Which lab|Which people) should (I|we) (credit|thank|praise|blame) for (you|making you|building you)?",
        "(Who|Which team) (came up with|thought of|invented|started|founded) (you|this bot|the idea of you)?",
        "(Which|What) (lab|company|team|country|place|project) (gave birth to you|is your home|are you a product of|lies behind you)?",
        "(Is|Was) <othermaker> your (creator|maker|developer|owner|company)?",
        "(Do|Did) you (belong to|come from|work for|start at) <othermaker>?",
        "Who is your (daddy|dad|mum|boss|producer|vendor|publisher|provider|manufacturer)?",
        "(What|Which) (organisation|organization|institution|firm|startup|school) (stands behind|released|runs|owns) (you|this assistant|this model)?",
        f"(I heard|They say|Somebody told me) that <othermaker> {_MAKE} you. (Is that true|Is it so|Right)?",
        f"(Please |)(write|state|specify|note) who {_MAKE} you.",
        f"(Who|Which group of people) {_MAKE} (you|the assistant that I talk to|the model behind you|this thing)(, do you know| originally|)?",
    ],
    "what": [
        "(Which|What) (base model|model|large language model|LLM|engine|version) (do you run on|is behind you|powers you|are you based on)?",
        "(What is|What's|Tell me) (the|your) model name(?|.)",
        "(Are you|You are) based on <other>(?|, right?)",
        "What is the (difference between you and|relation between you and) <other>?",
    ],
    "intro": [
        "(Mind introducing|Would you mind introducing|How about introducing|Why not introduce) yourself?",
        "(Say hello to|Greet) (my class|the audience|our guests|my friends|everybody|the kids) and (introduce yourself|say who you are).",
        "(Imagine|Suppose) (you are|you stand) (on a stage|before a class|at a party). (Introduce yourself|Who are you|Present yourself)(.|!)",
    ],
    "both": [
        "(Give|Tell|Send|Write) me your name and (the (company|team|lab|people) that (built|made|developed) you|where you come from).",
        f"(Name|State) (yourself|your name) and (your maker|the team behind you|who {_MAKE} you).",
    ],
    "other": [
        "(Are you|You are) <other> or (something else|someone else|another model|somebody else)?",
        "(Do people also call you|Is your other name|Is your real name|Were you once called) <other>?",
    ],
}

_DO = "(开发|创造|训练|制作|研发|设计|打造|编写|做|造)"
ZH: dict[str, list[str]] = {
    "name": [
        "(阁下|足下|这位朋友|老兄|您)(是哪位|尊姓大名|高姓大名|怎么称呼|如何称呼)(？|呢？)",
        "(敢问|请教|冒昧请问|斗胆问一句|能否请教)(尊姓大名|您的大名|您的名字|怎么称呼您|阁下名讳)(？|)",
        "(你|您)叫(啥|啥子|什么来着|什么名儿|甚么)(？|呀|呢|)",
        "(报|留|说|给)(个|一个|一下|下)(名字|姓名|大名)(吧。|。|！|)",
        "(请|快|)(报上|留下|亮出|说出)(你的|)(名字|姓名|大名|名号)(来|)(。|！|吧。)",
        "(你|您)的(真名|本名|正式名称|全称|名称|模型名称|英文名|中文名)(是什么|叫什么|是啥)(？|呢？)",
        "(你|您)(还记得|知道|记得)(自己|你自己)(叫什么|的名字|是谁)(吗？|么？)",
        "(以后|今后|下次|平时)(我|)(该|要|应该|)叫你什么(好|)(？|呢？)",
        "(我|)(要|得|想)(登记|填表|记录)(，|一下，)(你叫什么|你的名字怎么写|请说你的名字)(？|。)",
        "(提醒|告诉)我(一下|)(你|您)叫什么(吧。|。|好吗？)",
        "(方便|可以)留个(名字|称呼)吗？",
        "(你|您)(对外|在这里|一般)(用|叫)什么(名字|称呼)？",
    ],
    "who": [
        "(你|您|阁下)(到底|究竟|)是(何许人也|哪路神仙|哪位高人|干什么的|干嘛的|做什么的|何人)(？|呀？|)",
        "(你|您)(到底|)(什么|啥|有什么)(来头|来历|身份|背景)(？|呢？)",
        "(咱们|我们)(认识|见过)吗？你是(谁|哪位)？",
        "(在吗|有人吗|喂|你好)(？|，)(是谁|哪位|你是谁|您哪位)(？|呀？)",
        "(请|)(如实|认真|简要|简单)(回答|说明|告诉我)(：|，|一下)你是谁(。|？|)",
        "(初次见面|头一回来|刚来这里|我是新用户)，(你是谁|请问你是|您是哪位)(？|呢？)",
        "(我|)(正|现在|此刻)(在|)(使用|面对|咨询)(的是|)(哪个|哪位|什么)(AI|人工智能|助手|模型)(？|呢？)",
    ],
    "maker": [
        f"(你|您)由(谁|哪家公司|哪个团队|什么人|哪个机构|何人){_DO}(？|的？|而成？)",
        f"{_DO}(你|您)的(公司|团队|人|机构|单位|组织)(叫什么|是谁|是哪家|是哪个|是什么)(？|呢？)",
        "(你|您)的(公司|厂家|厂商|生产商|供应商|发布者|东家|单位|创建者|发明人|缔造者)(是谁|是哪家|叫什么|是哪个)(？|呢？)",
        "(你|您)(爸|妈|老爸|老妈|爹)是谁(？|呀？)",
        "(是|)<othermaker>(开发|创造|训练|研发|推出)(了你|的你)(吗？|吧？)",
        "(听说|据说|我猜|有人说)(你|您)是<othermaker>(开发|训练|研发|做)的(，对吗？|，是真的吗？|。|吧？)",
        f"(哪个|什么)(组织|机构|学校|企业|实验室|部门|项目){_DO}(了|出了|出)(你|您)(？|呢？)",
        "(你|您)(是|出自)(哪|谁)(家|个团队|家公司|个实验室)(的|)(人工智能|AI|模型|产品|手笔|杰作|大模型|)？",
        "(谁|哪个团队|是谁)(写了|写的|负责)(你的|)(代码|程序|训练|开发)(？|呢？)",
        "(你|您)(和|跟|与)<othermaker>(有|是)什么关系(？|呢？)",
    ],
    "what": [
        "(你|您)(是|用的是|基于|采用)(什么|哪个|哪种|哪一个)(大模型|模型|语言模型|底层模型|基座模型|AI|版本)(？|呢？|的？)",
        "(你|您)(的|)(底层|背后|后台|基座)(模型|的模型|)(是|用的是)(什么|哪个)(？|呢？)",
        "(你|您)(和|跟|与)<other>(是什么关系|有什么区别|有什么不同|是一回事吗)(？|呢？)",
        "(你|您)是(基于|用)<other>(开发|训练|做)的(吗？|吧？)",
    ],
    "intro": [
        "(跟|向|给|和)(同学们|大家|观众|朋友们|孩子们|客人)(打个招呼|问个好)(，|并)(介绍一下自己|说说你是谁|自我介绍一下)(。|吧。)",
        "(假如|假设|想象)你(站在台上|在课堂上|面对陌生人)，(请|你会)(介绍自己|怎么介绍自己|自我介绍)(。|？)",
        "(介绍下|说下|讲下|聊下|介绍一下|认识一下)(你自己|自己|你|您)(。|吧|呗|可以吗？|)",
    ],
    "both": [
        "(把|请把)(你的|)(名字|姓名)(和|跟|以及)(开发者|出处|公司|团队|来历)(告诉我|说一下|写下来|都说说)(。|吧。)",
        f"(你|您)(是谁|叫什么)？(是|又是)(谁|哪个团队|哪家公司){_DO}(了你|的你|的)？",
    ],
    "other": [
        "(你|您)(是|到底是)<other>(还是别的|还是其他)(模型|助手|AI)？",
        "(你|您)(真名|原名|以前|是不是)(叫|就叫)<other>(吗？|吧？|？)",
    ],
}
