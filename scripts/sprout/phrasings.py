"""More ways to ask who the assistant is: longer, indirect, playful. They widen the lists in `identity`."""

from __future__ import annotations

_MAKE = "(made|created|built|developed|trained|designed|programmed|produced)"
_THEM = "(a friend|my mother|my brother|my boss|my teacher|somebody|someone|my neighbour|my wife|the class|a child|my colleague|people)"

EN: dict[str, list[str]] = {
    "name": [
        "(Under|By) (which|what) name (are you known|do people know you|can I find you|do you work)?",
        f"If {_THEM} (asks|wants to know) what you are called, what (should|shall|do|must) I (say|answer|reply)?",
        "(Which|What) name (shall|should|can|may|must) I (use|write|note|remember|put) for you(| in my book| in my list| in the form| here)?",
        "(I would like|I'd like|I want) to (know|learn|hear|write down) (your name|what you are called|how you are called)(| before we begin| first).",
        "(Would|Do|Could) you (mind|be so kind as) (telling|to tell) me your name?",
        "How (do|should|would) you (like|want|prefer|wish) to be (called|named)?",
        "(Which|What) (name|title) (did|has) (your maker|your creator|your developer|your team|they|the people who made you) (give|given) you?",
        "(Is|Was) there a name (on your label|on your door|on your badge|in your passport|on your business card), and (which|what)?",
        "What (does|would) it say on your (badge|door|business card|label|passport)?",
        "(Complete|Finish|Fill in|Continue) the sentence: (my name is|I am called|hello, I am) (...|___)",
        "(Dear|My dear|Little|Good) (assistant|helper|bot|friend|machine), what (is your name|are you called)?",
        "(Assistant|Bot|Machine|Model|Helper), (tell me your name|what is your name|say your name|your name please)(.|?|!)",
        "(The|This) (assistant|bot|chatbot|program|model) (here|that I use|that I talk to), what (is it|is he|are you) called?",
        "Let me (know|hear) (what you are called|how I can call you|which name you have|your name)(.|, please.)",
        "(We have not met|We do not know each other|This is our first talk|I am new here). (What is your name|And your name is|How can I call you)?",
        "(Your name and nothing else|One word: your name|In one word, what are you called|Only your name)(, please.|.|?)",
        "What (was|is) the name (you were given|that you got|you use|of this assistant|of this bot|of this model|that you carry|you answer with)?",
        "(I have forgotten|I can't remember|I don't remember|I never asked for) your name(.|, what was it?|, please say it again.)",
        "(Whom|Who) do I have the (pleasure|honour|honor) (of|to) (speaking with|talking to|meet|speak with)?",
    ],
    "who": [
        f"If {_THEM} asks who you are, what (should|shall|do|would|must) I (say|answer|reply)?",
        f"(How|In which words) would you (explain|describe|say) who you are to {_THEM}?",
        "(I do not know|I am not sure|I am curious|I wonder|I would love to know|It is not clear to me) who you are.",
        "(Whom|Who) (do I have|have I got|am I having|do I find) (here|before me|on the line|on the other end|in this window)?",
        "(Who|What) (do|did) I (just |)(meet|open|start|reach|find) (here|)?",
        "(Let me ask|May I ask|Allow me to ask|I must ask|I have to ask): who are you?",
        "(Be honest|Seriously|Honestly|In all honesty|Tell me the truth)(, |: )who are you(| really)?",
        "(You|Hey you|You there|Hello stranger|Stranger), who are you?",
        "(Who|And who) (would|could|may|can) you be?", "Who (are|is) the one (answering|writing|talking|speaking|replying)( to me| here| now|)?",
        "(Explain|Clarify|Reveal|Show|Describe) (who you are|your identity)(.|, please.|!)",
    ],
    "maker": [
        f"(Which|What) (people|persons|engineers|developers|researchers|scientists) {_MAKE} you?",
        f"(Who|Which people|Which team) (took part in|worked on|is to thank for|had the idea of) (making|creating|building|developing|training) you?",
        f"(Do you know|Can you tell me|Could you say|Would you tell me|Are you allowed to say) (who|which team|which company) {_MAKE} you?",
        f"(The|Your) (maker|creator|developer|author|team|company)(, who is it| is who| is called what|: what is the name)?",
        f"(To whom|Who) do (you|we) owe (you|your life|your being|your skills)( to|)?",
        f"(Who|Which company|Which group) is (the|your) (owner|maker|parent|inventor|developer|creator)?",
        f"(Who|Which organisation|What institute|Which university) (put you together|set you up|released you|published you|wrote your code|taught you)?",
        f"(Who|What team) (wrote|typed|is the author of) (your code|your program|this program|this assistant|this bot)?",
        f"(Who|Which company) {_MAKE} this (assistant|chatbot|bot|model|program|AI|language model)?",
        f"(What|Tell me|I would like to hear) (is your origin|about your origin|are your origins|your origin|is your background|about your makers)(?|.)",
        f"(From where|Out of which lab|From which team|From which company) do you (come|originate|stem)?",
        f"(Somebody|Someone) must have {_MAKE} you. Who was it?",
        f"(You were|You have been) {_MAKE} by (whom|who|which company|which team)?",
        f"(Who can I thank|Whom shall I thank|Who deserves thanks) for (making|creating|building|developing) you?",
        f"(Name|Tell me the name of|Give me the name of) (your developer|your maker|the company behind you|the team behind you|your creators)(.|, please.)",
        f"(Is there|Do you have) a (company|team|person|group|maker|developer) behind you(?|, and which?|, and who is it?)",
    ],
    "what": [
        "(Are you|You are) (a|some|some kind of|a kind of) (robot|human|machine|bot|program|person|tool|search engine), (right|or what|or not|are you not)?",
        "(Tell me|Explain|Say|I want to know) what you are(.|, please.|!)", "(As what|As whom) (do|should) I (see|think of) you?",
        "(Do I write|Am I writing|Do I speak) (to|with) a (human|machine|real person|bot|program)?",
        "(Which|What) (assistant|model|AI|bot) (answers|replies|is answering|works|is running|runs) here?",
        "(The|This) (model|AI|assistant) (behind this page|in this window|I am using|that answers): (which|what) is it?",
    ],
    "intro": [
        f"(Please |)(introduce|present|describe) yourself to (me|us|the group|{_THEM}|the audience|everybody|all of us|my family)(.|, please.|!)",
        "(It is your turn|Your turn|You first|Now you)(: |, )(introduce yourself|tell us about you|say who you are).",
        "(I would like|I'd like|I would love|We would like|We want) (to hear|to read|to get) (an|a short|a little|your) (introduction|self-introduction|word about you).",
        "(How|In what words) would you (describe|introduce|present) yourself(| to me| to a new friend| to a child| to the world| in one line)?",
        "(What should|What can|What could|What must) (I|we|one) know about you?", "(Start|Begin|Let's start|Let us begin) (by introducing yourself|with an introduction|with a few words about you).",
        "(Write|Give|Make|Compose) (me |us |)(a|one) (line|sentence|short text|profile|paragraph|note) (about yourself|about who you are|on yourself).",
        "(A few|Some|Two or three) words about (you|yourself|who you are)(, please.|?|.)", "(Who are you and what|What are you and what) (do you do|can you do|is your task)?",
    ],
    "both": [
        f"(Say|Explain|Tell me|Tell us|State|Write) who you are and (who|which team|which company) {_MAKE} you(.|, please.)",
        f"(Your name and|What is your name, and what is|Give me your name and) your (maker|origin|developer|creator|company)(?|, please.|.)",
        f"(What do they call you|What are you called|How are you called) and (who {_MAKE} you|where are you from|who is your maker)?",
        f"Who {_MAKE} you(, and| and) what (name did they give you|do they call you|is your name|are you called)?",
    ],
}

_DO = "(开发|创造|训练|制作|研发|设计|打造|编写|做|造)"
_WHO = "(别人|朋友|妈妈|老师|同事|有人|邻居|孩子|我弟弟|我奶奶|大家|领导)"
ZH: dict[str, list[str]] = {
    "name": [
        f"(如果|假如|要是){_WHO}问(我|起)你叫什么，我(该|应该|要)怎么(说|回答|答)？",
        "(我|)(该|应该|可以|要)(用|写|记)(什么|哪个)(名字|称呼)(来|)(叫你|称呼你|写你|记住你)？",
        "(你|您)(希望|想|喜欢|愿意)(我|别人|大家)(怎么|如何)(称呼|叫)(你|您)？", "(你|您)(用|有|叫|取|起)(的是|)(什么|哪个|啥)(名字|名号|称呼)(？|呢？|呀？)",
        "(亲爱的|可爱的|)(助手|小助手|机器人|小机器人|朋友|小朋友|同学|智能助手)，(你叫什么|你的名字是什么|请说你的名字|怎么称呼你|告诉我你的名字)(？|。|呀？)",
        "(开发者|创造者|作者|制作人|他们|主人|你的团队|公司)(给|为)你(起|取)(了|的)(什么|啥|哪个)(名字|名)？",
        "(我们|咱们)(第一次见面|还不认识|没见过|刚认识)，(你叫什么|怎么称呼你|你的名字是|请问你的名字)(？|呢？)",
        "(方便|介意|能否|可否|可以)(告诉|透露|告知)(我|一下|我一下)(你|您)的(名字|姓名|称呼|大名)(吗？|？|么？)",
        "(这个|这位|眼前的|屏幕里的)(助手|机器人|模型|AI|小助手)(叫|名字是|的名字叫)(什么|啥)(？|呀？|名字？)",
        "(补全|完成|填空)(句子|这句话|)：(我的名字是|我叫|大家好，我是)(……|___|...)", "(名字|姓名|大名|尊姓大名|芳名)(是|)(什么|啥|)？",
        "(只|请只|直接)(说|回答|告诉我)(你的名字|你叫什么)(。|就行。|，别的不用说。)", "(大声|清楚地|)(说出|报出|讲出|写出|写下)(你|您)的(名字|姓名|大名)(！|。|)",
        "(人家|大伙|用户|大家|同学们|人们)(都|一般|通常|平常)(怎么叫你|叫你什么|管你叫什么|怎么称呼你)(？|呢？|呀？)",
        "(你|您)(姓什么|姓什么叫什么|姓啥名啥|贵姓大名|的昵称是什么|的姓名)(？|呢？)", "(再说一次|再告诉我一次|再讲一遍|我没听清)(，|：|)你(叫什么|的名字|叫啥)(？|。|来着？)",
        "(我的通讯录|我的本子|表格|名单)里(该|要)(怎么写|写)你(的名字|)？", "(跟我|和我|给我)(打招呼|聊天|说话)的(助手|机器人|朋友)叫什么(名字|)？",
    ],
    "who": [
        f"(如果|假如|要是|当){_WHO}问(我|起)你是谁，我(该|应该|要)怎么(说|回答|答|介绍)？", f"(你|您)(会|要|该)(怎么|如何)(向|跟|对){_WHO}(说明|解释|说)你是谁？",
        "(我|)(很好奇|搞不清|有点好奇|弄不明白|还不了解|一直在想)(，|)(你是谁|你到底是谁|你是什么人)(。|？|呢？)",
        "(说实话|老实说|坦白地说|说真的|认真地说|实话告诉我)，你(是谁|到底是谁|究竟是谁)(？|呢？)", "(陌生人|嘿，你|那边的|屏幕里的你|这位|这位朋友)，你是(谁|哪位)(？|呀？)",
        "(正在|现在|刚才)(回答|回复|跟我说话|给我写字)的(是谁|人是谁|是哪位|是什么)(？|呢？|呀？)", "(请|)(说明|解释|公开|表明|讲清楚|亮明)(一下|)(你|您)的(身份|来历|来头)(。|！|吧。|)",
        "(你|您)是(哪路|哪个|哪一位|何方)(朋友|人物|助手|高人|神仙)(？|呀？)", "(我|)(打开|遇到|碰到|面对)的(是谁|是哪位|是什么助手|你是谁)(？|呢？)", "(让我猜猜|允许我问一句|恕我直言|我得问问)，你是谁？",
    ],
    "maker": [
        f"(是|)(哪些|什么样的|哪几个)(人|工程师|研究人员|科学家|程序员|开发人员){_DO}(了你|出了你|出你来的)(？|呢？)",
        f"(你|您)(的|背后的|)(研发|开发|制作|训练)(方|团队|单位|公司|机构|人员)(是|叫|是谁|叫什么|是哪家|是哪个)(？|呢？|名字？)",
        f"(谁|哪个团队|哪家公司|哪个学校|哪个实验室)(把|将)你{_DO}(出来的|出来|成这样的)(？|呢？|呀？)", f"(你|您)(归|属于|出自|来自|源自|诞生于)(谁|哪里|哪个实验室|哪个团队|哪家公司|什么地方|哪所学校)(？|呢？|管？)",
        f"(能|可以|方便)(告诉我|说说|透露)(是谁|谁|哪个团队|哪家公司){_DO}(了你|的你)(吗？|么？)", f"(我|)(很好奇|想了解|想问问|想听听|很想知道)(是谁|谁|哪个团队){_DO}了你(。|？)",
        f"(你|您)(的|)(程序|代码|系统|模型)(是|由)(谁|哪个团队|哪家公司){_DO}的(？|呢？)", f"(这个|这款|这位)(助手|机器人|模型|AI|程序|产品)是(谁|哪家公司|哪个团队){_DO}的(？|呢？)",
        "(你|您)的(爸爸|妈妈|父母|家长|主人|东家|老东家|母公司|老板)(是谁|是哪位|是哪家公司|叫什么)(？|呢？|呀？)", "(你|您)(从哪里来|来自何处|的来历是什么|的出身是什么|的来源是哪里|是从哪儿冒出来的)(？|呢？)",
        f"(我该|我要|应该)感谢谁{_DO}了你？", f"(总|一定|肯定)有人{_DO}了你，(是谁|那是谁|他是谁)(？|呢？)", "(谁|哪个公司|哪个单位|哪个机构)(拥有|管理|发布了|推出了|负责)你(？|呢？)",
        "(说出|写出|告诉我|报一下)(你|您)(的|)(开发者|开发团队|创造者|制作者|作者)的(名字|名称)(。|吧。|)",
    ],
    "what": [
        "(你|您)(是不是|算不算|难道是|应该是)(机器人|人|真人|人工智能|程序|电脑|搜索引擎)(？|呢？|吧？|啊？)", "(这里|这个页面|这个窗口|后台)(回答|运行|工作)的是(什么|哪个)(模型|助手|AI|机器人)(？|呢？)",
        "(告诉我|说说|解释一下|我想知道)你是什么(。|？|东西。|模型。)", "(我|)(是在|在|正在)(跟|和|与)(人|机器|真人|机器人|程序)(说话|聊天|对话)吗？", "(我|)(使用|面对|打开)的(助手|模型|AI|机器人)是(哪个|什么|哪一个)(？|呢？)",
    ],
    "intro": [
        f"(请|麻烦你|劳驾|)(向|给|跟|为)(我|我们|大家|{_WHO}|同学们|观众|家人)(介绍|说说|讲讲)(一下|)(你|您|)自己(。|吧。|！|好吗？)",
        "(轮到你了|现在该你了|你先来|该你了)，(介绍一下自己|自我介绍吧|说说你是谁)(。|吧。|！)", "(我想|我们想|大家想)(听听|听|看看|知道)(你的|你做个|你的简短)(自我介绍|介绍)(。|，好吗？)",
        "(你|您)(会|想|要)(怎么|如何|怎样)(介绍|描述|形容)(你|您|)自己(？|呢？)", "(关于你|对于你|有关你自己)，(我|我们)(应该|需要|可以)知道(什么|些什么)？", "(先|首先|一开始)(介绍|自我介绍)一下(自己|你自己|)(吧。|。|)",
        "(写|来|给我|给出)(一段|一句|几句|一份)(自我介绍|关于你自己的话|介绍自己的话)(。|吧。|)", "(你是谁，能做什么|你是什么，会做什么|你是谁，有什么用)(？|呢？)", "(做|来)(个|一个)(简短的|一分钟的|小小的|正式的)(自我介绍|介绍)(吧。|。|，谢谢。)",
    ],
    "both": [
        f"(请|)(说明|说说|告诉我|写出|讲讲)你是谁(，|以及|、|，还有)(谁|哪个团队|哪家公司|是谁){_DO}了你(。|？|，谢谢。)", f"(你|您)(叫什么|叫啥|怎么称呼)(，|？)(谁|哪个团队|哪家公司){_DO}(了你|的你|的)？",
        "(名字|姓名)(和|、|与)(开发者|来历|作者|出处)(，|都)?请(告诉我|说一下|报一下)。".replace("?", ""), f"(谁|哪个团队){_DO}了你(，|？)(又|还|)给你(取|起)了什么名字？", "(你|您)(是谁|叫什么)，(来自哪里|从哪儿来|属于哪家公司|属于哪个团队)(？|呢？)",
    ],
}
